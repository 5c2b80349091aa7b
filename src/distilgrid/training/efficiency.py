"""Use of the machine by a training run, for `metrics.json`, and traces of steps."""

import contextlib
import copy
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.machine import describe_machine, package_versions
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.training.outcome import Outcome

SKIPPED, TRACED = 5, 5  # steps; the first ones still fill caches
SIZE, ROUNDS = 2048, 5  # of the matrix product that measures the peak, which is cached


def efficiency(model: "PreTrainedModel", outcome: "Outcome", placement: Placement, *, batch: int) -> dict[str, Any]:
    """Seconds, tokens per second, share of the machine's peak, time by section, peak memory.

    Tokens exclude padding; an image counts as one. The share of the peak counts the time of steps, without evaluation.
    """
    world = placement.world.size
    steps = sum(outcome.time_split.get(name, 0.0) for name in ("data", "forward", "backward", "optimiser"))
    tokens, images = outcome.tokens * world, hasattr(model.config, "image_size")
    if images:
        flops = 3.0 * image_flops(model) * outcome.tokens  # the backward pass is two forward passes' work
    else:
        flops = training_flops(
            matrix_weights=_matrix_weights(model),
            layers=model.config.num_hidden_layers,
            width=model.config.hidden_size,
            tokens=outcome.tokens,
            mean_length=tokens / max(1, outcome.steps * batch),
        )
    return {
        "precision": placement.precision,
        "device": placement.device.type,
        "processes": world,
        "train_seconds": round(outcome.seconds, 2),
        "tokens_per_second": round(tokens / max(outcome.seconds, 1e-9), 1),
        "peak_fraction": round(flops / max(steps, 1e-9) / peak_flops(placement), 4) if not outcome.resumed_at else None,
        "time_split": {name: round(seconds, 2) for name, seconds in sorted(outcome.time_split.items())},
        "resumed_at": outcome.resumed_at,
        "peak_memory_mib": round(_peak_memory(placement) / 2**20, 1),
    }


def _matrix_weights(model: "PreTrainedModel") -> int:
    """Number of weights in matrix products of every token: all matrices but the embedding tables."""
    return sum(p.numel() for name, p in model.named_parameters() if p.dim() > 1 and "embeddings" not in name)


def _peak_memory(placement: Placement) -> int:
    """Bytes on the GPU, or resident in this process."""
    if placement.device.type == "cuda":
        return torch.cuda.max_memory_allocated(placement.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_flops(placement: Placement) -> float:
    """Floating-point operations per second of a 2048-cubed matrix product at the placement's precision and threads."""
    dtype = torch.bfloat16 if placement.precision == "bf16" else torch.float32
    device = placement.device
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else describe_machine()
    identity = {
        "machine": place,
        "precision": placement.precision,
        "threads": torch.get_num_threads(),
        "torch": package_versions()["torch"],
    }
    cache = _cache_folder() / f"peak-{recipe_key(identity)}.json"
    try:
        return float(json.loads(cache.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        measured = _measure(device, dtype)
    with contextlib.suppress(OSError):  # measured again next time
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(measured), encoding="utf-8")
    return measured


def training_flops(*, matrix_weights: int, layers: int, width: int, tokens: int, mean_length: float) -> float:
    """Operations of forward and backward pass (Kaplan et al. 2020): 6 per weight and token, plus attention's products,
    which grow with the length."""
    return tokens * (6.0 * matrix_weights + 12.0 * layers * width * mean_length)


@torch.no_grad()
def image_flops(model: "PreTrainedModel") -> int:
    """Operations of a forward pass over one image, counted on shapes alone: nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    config = model.config
    height, width = (config.image_size, config.image_size) if isinstance(config.image_size, int) else config.image_size
    shapes = copy.deepcopy(model).to("meta")
    with FlopCounterMode(display=False) as counter:
        shapes(torch.zeros(1, config.num_channels, height, width, dtype=torch.uint8, device="meta"))
    return counter.get_total_flops()


def _measure(device: torch.device, dtype: torch.dtype) -> float:
    left = torch.randn(SIZE, SIZE, device=device).to(dtype)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        product = left @ left
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
        del product
    return 2.0 * SIZE**3 / best


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilgrid"


@contextlib.contextmanager
def tracing(path: Path | None) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each step; write a trace for https://ui.perfetto.dev. None traces nothing."""
    if path is None:
        yield lambda: None
        return
    from torch.profiler import profile, schedule

    path.parent.mkdir(parents=True, exist_ok=True)
    plan = schedule(wait=SKIPPED - 1, warmup=1, active=TRACED, repeat=1)
    with profile(schedule=plan, on_trace_ready=lambda p: p.export_chrome_trace(str(path))) as profiler:
        yield profiler.step
