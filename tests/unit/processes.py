"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(happened: Callable[[], object], *, seconds: float = 5, pause: float = 0.02) -> bool:
    """Whether something happens in time."""
    limit = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > limit:
            return False
        time.sleep(pause)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
