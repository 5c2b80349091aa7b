"""What every stage process does first: fix its threads, set up its log, and make sure not to outlive its workflow."""

import logging
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

PARENT = "DISTILGRID_PARENT"
POLL_SECONDS = 0.5


def start_job(*, threads: int, log_level: str) -> None:
    """Set up this process as one job of a workflow, or as a stage run by hand.

    Args:
        threads: for torch, BLAS and the tokenisers; jobs beside it have cores of their own.
        log_level: debug, info or warning.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("httpx", "httpcore", "urllib3", "huggingface_hub", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    _die_with_workflow()


def start_torch_job(*, threads: int, log_level: str) -> None:
    """As `start_job`, for a stage that needs torch and transformers."""
    start_job(threads=threads, log_level=log_level)
    import torch
    from transformers.utils import logging as hf_logging

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*deterministic.*")


def mark_workflow() -> None:
    """Called by the workflow: jobs started from here end soon after this process does, however it dies."""
    os.environ[PARENT] = f"{os.getpid()}:{_start_time(os.getpid())}"


def _terminate(_signal: int, _frame: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # runs the `finally` blocks: scratch folders go


def _die_with_workflow() -> None:
    """End when the workflow's process is gone: a killed Snakemake leaves its jobs running otherwise."""
    pid, _, started = os.environ.get(PARENT, "").partition(":")
    if pid:
        threading.Thread(target=_watch, args=(int(pid), started), daemon=True, name="workflow watch").start()


def _watch(pid: int, started: str) -> None:
    while _start_time(pid) == started:
        time.sleep(POLL_SECONDS)
    sys.stderr.write("the workflow that started this job is gone: stopping\n")
    sys.stderr.flush()
    os._exit(1)  # at once: the next run holds the cell's lock as soon as this process is gone


def _start_time(pid: int) -> str:
    """A process's start time in clock ticks since boot; empty when it is gone. Tells a reused process id apart."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return _portable_start_time(pid)
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


def _portable_start_time(pid: int) -> str:
    if Path("/proc").is_dir():
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
