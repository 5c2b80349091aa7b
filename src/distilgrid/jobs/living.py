"""Workflows at work in a project. Each holds a lock while it lives; the kernel frees it however the process dies."""

import secrets
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path("distilgrid")
"""The folder of these locks, below `.snakemake`."""
ENDING = ".process"


def gate(folder: Path) -> FileLock:
    """The lock of what must not overlap with the opening of a workflow."""
    return FileLock(folder / "gate.lock", fallback_to_soft=False)


def hold(folder: Path, *, name: str) -> FileLock:
    """A lock, taken, that says until this process ends that it works with parameters of this `name`."""
    lock = FileLock(folder / f"{name}.{secrets.token_hex(8)}{ENDING}", fallback_to_soft=False)
    lock.acquire()
    return lock


def living(folder: Path) -> list[str]:
    """The names of the parameters that living workflows work with. Removes the files of those that ended."""
    names = []
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            with FileLock(path, fallback_to_soft=False).acquire(blocking=False):
                path.unlink()
        except Timeout:
            names.append(path.name.removesuffix(ENDING).rpartition(".")[0])
    return names
