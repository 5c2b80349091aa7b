"""What every stage process does first: fix its threads, set up its log, and make sure not to outlive its workflow."""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

PARENT = "DISTILGRID_PARENT"
POLL_SECONDS = 0.5
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # batch systems send the second ahead of a time limit
# Read once, when a library is loaded or first used; a user's own values go before them.
TUNING = {
    # How long a thread of OpenMP waits for another before it lets its core go. By default it is milliseconds, which
    # threads that share their cores with other jobs then lose at each of a hundred barriers a step.
    "GOMP_SPINCOUNT": "10000",
    "THP_MEM_ALLOC_ENABLE": "1",  # torch asks for pages of 2 MiB: fresh memory costs a fault for each page
}
MALLOPT_TRIM_THRESHOLD, MALLOPT_MMAP_THRESHOLD = -1, -3  # numbers of malloc.h
MMAP_BYTES, TRIM_BYTES = 1 << 25, (1 << 31) - 1  # the most that glibc takes
_stop = {"deferred": False, "asked": False}


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
    for noisy in (
        "torchao",
        "torch.utils._pytree",
    ):  # without a GPU torchao says to every job what it lacks
        logging.getLogger(noisy).setLevel(logging.ERROR)
    for number in STOP_SIGNALS:
        signal.signal(number, _terminate)
    _die_with_workflow()


def start_torch_job(*, threads: int, log_level: str) -> None:
    """As `start_job`, for a stage that needs torch and transformers."""
    start_job(threads=threads, log_level=log_level)
    loaded = "numpy" in sys.modules  # by the process that this one was forked from, with one thread
    # Batches have many lengths, and oneDNN keeps half a megabyte for each shape of a product: 1,024 of them by default.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "40")
    for name, value in TUNING.items():
        os.environ.setdefault(name, value)
    import torch
    from transformers.utils import logging as hf_logging

    torch.set_num_threads(threads)
    if loaded:
        _resize_pools(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else a pass over every new tensor, for nothing; its type stub does not know it.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    _keep_freed_memory()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*deterministic.*")


def mark_workflow() -> None:
    """Called by the workflow: jobs started from here end soon after this process does, however it dies."""
    os.environ[PARENT] = f"{os.getpid()}:{_start_time(os.getpid())}"


def has_workflow() -> bool:
    """Whether a workflow started this process."""
    return bool(os.environ.get(PARENT))


def workflow_is_gone() -> bool:
    """Whether the workflow that started this process has ended; False for a process that none started."""
    pid, _, started = os.environ.get(PARENT, "").partition(":")
    return bool(pid) and _start_time(int(pid)) != started


@contextlib.contextmanager
def stopping_gently() -> Iterator[Callable[[], bool]]:
    """Within the body, a signal to stop only sets what the yielded function returns, so that work can be saved."""
    _stop.update(deferred=True, asked=False)
    try:
        yield lambda: _stop["asked"]
    finally:
        _stop["deferred"] = False


def _terminate(number: int, _frame: object) -> None:
    if _stop["deferred"]:
        _stop["asked"] = True
        return
    raise SystemExit(128 + number)  # runs the `finally` blocks: scratch folders go


def _resize_pools(threads: int) -> None:
    """Give libraries as many threads as the environment gives those that are loaded later."""
    if threads > 1:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)


def _keep_freed_memory() -> None:
    """Have the C library keep freed memory: giving it back and taking it again costs a tenth of each training step."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MALLOPT_MMAP_THRESHOLD, MMAP_BYTES)
        library.mallopt(MALLOPT_TRIM_THRESHOLD, TRIM_BYTES)


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
