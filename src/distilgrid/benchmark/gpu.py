"""Facts of torch about the GPU of a benchmark. Light until asked."""

import sys

from distilgrid.runtimes.base import Processor

MIB = 2**20


def gpu_name(processor: Processor) -> dict[str, str]:
    """The field `gpu` of a machine's description; empty on a CPU, or if torch sees no GPU."""
    if processor != "cuda":
        return {}
    import torch

    return {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}


def gpu_peak(processor: Processor) -> dict[str, float]:
    """The field `gpu_peak_mib` of a footprint: the peak memory of this process's tensors on the GPU.

    Empty if torch does not compute there: other runtimes have their own allocators.
    """
    torch = sys.modules.get("torch")
    if processor != "cuda" or torch is None or not torch.cuda.is_initialized():
        return {}
    return {"gpu_peak_mib": round(torch.cuda.max_memory_allocated() / MIB, 1)}
