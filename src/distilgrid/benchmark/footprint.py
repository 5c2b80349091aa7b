"""Load time and memory of a model, measured in a separate process, and facts about the GPU.

`python -m distilgrid.benchmark.footprint RUNTIME FOLDER INPUTS OPTIONS` prints a line of JSON; OPTIONS are JSON too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.runtimes.base import Processor, RunOptions
from distilgrid.runtimes.registry import open_runtime

if TYPE_CHECKING:
    import numpy as np

MIB = 2**20
RUNS = 3
SECONDS = 600


def footprint(*, runtime: str, folder: Path, how: RunOptions, inputs: "Mapping[str, np.ndarray]") -> dict[str, Any]:
    """Measure one entry, on inputs of its largest shape, in a separate process.

    Returns `import_seconds` of the runtime's packages, `load_seconds` from files to a ready model and
    `first_run_seconds`. Memory is `loaded_mib`, which loading added, `peak_mib` of the process, and `gpu_peak_mib` if
    torch computes on a GPU. A process that failed or did not end gives its `reason` alone.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "inputs.npz"
        np.savez(path, allow_pickle=False, **dict(inputs))
        words = [runtime, str(folder), str(path), json.dumps(asdict(how))]
        threads = {name: str(how.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "distilgrid.benchmark.footprint", *words],
                env=os.environ | threads,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"reason": f"loading and {RUNS + 1} runs took more than {SECONDS:g} s"}
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if not line.startswith("INFO:")]  # LiteRT's farewell
        return {"reason": (said or [f"exit code {done.returncode}"])[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(runtime: str, folder: str, inputs: str, options: str) -> dict[str, Any]:
    import numpy as np

    feed, how = dict(np.load(inputs, allow_pickle=False)), RunOptions(**json.loads(options))
    started = time.perf_counter()
    engine = open_runtime(runtime)
    imported, before = time.perf_counter(), _memory("VmRSS:")
    session = engine(Path(folder), how)
    loaded, after = time.perf_counter(), _memory("VmRSS:")
    run = session.bind(feed)
    run()
    first = time.perf_counter()
    for _ in range(RUNS):
        run()
    return {
        "import_seconds": round(imported - started, 3),
        "load_seconds": round(loaded - imported, 3),
        "first_run_seconds": round(first - loaded, 3),
        "loaded_mib": round((after - before) / MIB, 1),
        "peak_mib": round(_memory("VmHWM:") / MIB, 1),
        **gpu_peak(how.processor),
    }


def _memory(field: str) -> int:
    """Bytes that this process holds (`VmRSS:`) or held at most (`VmHWM:`); 0 if the system does not tell.

    The peak of `getrusage` would include the parent process.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in status.splitlines() if line.startswith(field)), 0)


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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(*sys.argv[1:])) + "\n")
