"""The cores of a benchmark, and a lock that lets one benchmark run at a time. Light."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock

from distilgrid.core.errors import UserError
from distilgrid.core.machine import usable_cores


@contextlib.contextmanager
def pinned(threads: int, wanted: Sequence[int] | None = None, *, key: str = "benchmark.cores") -> Iterator[list[int]]:
    """Pin this process to as many cores as the device has threads; yield the cores' numbers.

    Torch, if loaded, gets as many threads; a device that measures exports need not have it. Load models inside, so that
    a runtime's worker threads inherit the cores. The first of the `wanted` numbers of cores are taken; None takes the
    last that this process may use, since the first core often serves interrupts. `key` names them in messages. Raises
    UserError when the process may not use enough cores, or not the wanted ones.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()  # empty if the system is silent
    cores = sorted(allowed)[-threads:] if wanted is None else list(wanted[:threads])
    if threads > usable_cores():
        raise UserError(
            f"threads of the device: {threads}, but this process may use {usable_cores()} cores; set them lower"
        )
    if wanted is not None:
        _check(threads, wanted, allowed, key)
    with contextlib.ExitStack() as afterwards:
        if cores:
            afterwards.callback(os.sched_setaffinity, 0, allowed)
            os.sched_setaffinity(0, cores)
        if torch := sys.modules.get("torch"):
            afterwards.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        yield cores


def _check(threads: int, wanted: Sequence[int], allowed: set[int], key: str) -> None:
    if not allowed:
        raise UserError(f"{key}: this system does not tell which cores a process may use; leave it out")
    others = [core for core in wanted if core not in allowed]
    if others:
        raise UserError(f"{key}: {_listed(others)}, but this process may use {_listed(sorted(allowed))} only")
    if len(wanted) < threads:
        raise UserError(f"{key}: {_listed(wanted)}, but the device has {threads} threads; name as many cores")


def _listed(cores: Sequence[int]) -> str:
    return f"core{'s' if len(cores) != 1 else ''} {', '.join(map(str, cores))}"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other benchmark of this user runs on this machine, and keep others waiting."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    with FileLock(Path(tempfile.gettempdir()) / f"distilgrid-benchmark-{user}.lock", fallback_to_soft=False):
        yield
