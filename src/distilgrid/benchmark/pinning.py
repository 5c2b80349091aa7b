"""The cores that a benchmark runs on, and the promise that no other benchmark of ours runs meanwhile."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from distilgrid.errors import UserError
from distilgrid.machine import usable_cores


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[list[int]]:
    """Hold this process to as many cores and torch threads as the protocol says; yields the cores' numbers.

    Load models inside, so that worker threads that a runtime starts inherit the cores.

    Raises:
        UserError: when the process may not use so many cores.
    """
    if threads > usable_cores():
        raise UserError(
            f"threads of the device: {threads}, but this process may use {usable_cores()} cores; set them lower"
        )
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    cores = sorted(allowed)[-threads:]  # the first core often serves interrupts
    torch_threads = torch.get_num_threads()
    try:
        if cores:
            os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)
        yield cores
    finally:
        if cores:
            os.sched_setaffinity(0, allowed)
        torch.set_num_threads(torch_threads)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other benchmark of ours runs on this machine, and keep others waiting."""
    import fcntl

    path = Path(tempfile.gettempdir()) / f"distilgrid-benchmark-{os.getuid()}.lock"
    with path.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
