"""Set-up of a stage's process: threads, log, signals, and an end no later than the workflow's."""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

from distilgrid.core.stopping import STOP_SIGNALS

PARENT = "DISTILGRID_PARENT"
POLL_SECONDS = 0.5
# Libraries read these once, when they are loaded or first used. A user's own values take precedence.
TUNING = {
    # Spins of an OpenMP thread at a barrier before it frees its core. The default lasts milliseconds, which jobs that
    # share cores lose at each of a hundred barriers a step.
    "GOMP_SPINCOUNT": "10000",
    "THP_MEM_ALLOC_ENABLE": "1",  # torch asks for pages of 2 MiB: fresh memory costs a fault for each page
}
MALLOPT_TRIM_THRESHOLD, MALLOPT_MMAP_THRESHOLD = -1, -3  # numbers of malloc.h
MMAP_BYTES, TRIM_BYTES = 1 << 25, (1 << 31) - 1  # the most that glibc takes


def start_job(*, threads: int, log_level: str) -> None:
    """Set up this process as one job of a workflow, or as a stage run by hand.

    Args:
        threads: for torch, BLAS and the tokenisers; concurrent jobs have other cores.
        log_level: debug, info or warning.
    """
    os.environ |= {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS", "RAYON")}
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("httpx", "httpcore", "urllib3", "huggingface_hub", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for noisy in ("torchao", "torch.utils._pytree"):  # without a GPU, torchao warns every job
        logging.getLogger(noisy).setLevel(logging.ERROR)
    for number in STOP_SIGNALS:
        signal.signal(number, _terminate)
    _die_with_workflow()


def start_torch_job(*, threads: int, log_level: str) -> None:
    """Set up this process as `start_job` does, for a stage that needs torch and transformers."""
    start_job(threads=threads, log_level=log_level)
    loaded = "numpy" in sys.modules  # by the process that this one was forked from, with one thread
    # Batches have many lengths, and oneDNN keeps half a megabyte for each shape of a product: 1,024 of them by default.
    os.environ |= {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "40", **TUNING, **os.environ}
    import torch
    from transformers.utils import logging as hf_logging

    torch.set_num_threads(threads)
    if loaded:
        _resize_pools(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Otherwise torch fills every new tensor. The type stub lacks this setting.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    _keep_freed_memory()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*deterministic.*")


def mark_workflow() -> None:
    """Make the jobs that this process starts end soon after it, however it dies. The workflow calls this."""
    os.environ[PARENT] = f"{os.getpid()}:{_start_time(os.getpid())}"


def workflow_is_gone() -> bool:
    """Whether the workflow that started this process has ended; False for a process that none started."""
    pid, _, started = os.environ.get(PARENT, "").partition(":")
    return bool(pid) and _start_time(int(pid)) != started


def _terminate(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)  # runs the `finally` blocks: scratch folders go


def _resize_pools(threads: int) -> None:
    """Set the threads of loaded libraries; those that are loaded later read the environment."""
    if threads > 1:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)


def _keep_freed_memory() -> None:
    """Make the C library keep freed memory: returning it to the system costs a tenth of each training step."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MALLOPT_MMAP_THRESHOLD, MMAP_BYTES)
        library.mallopt(MALLOPT_TRIM_THRESHOLD, TRIM_BYTES)


def _die_with_workflow() -> None:
    """End when the workflow's process is gone: a killed Snakemake leaves its jobs running otherwise."""
    if os.environ.get(PARENT):
        threading.Thread(target=_watch, daemon=True, name="workflow watch").start()


def _watch() -> None:
    while not workflow_is_gone():
        time.sleep(POLL_SECONDS)
    sys.stderr.write("the workflow that started this job is gone: stopping\n")
    sys.stderr.flush()
    os._exit(1)  # at once: the next run holds the cell's lock as soon as this process is gone


def _start_time(pid: int) -> str:
    """A process's start time in ticks since boot, which tells a reused process id apart; empty when it is gone."""
    with contextlib.suppress(OSError):
        if not Path("/proc").is_dir():
            os.kill(pid, 0)
            return "alive"
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] in ("Z", "X") else fields[19]
    return ""
