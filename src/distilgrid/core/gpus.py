"""Assignment of this machine's GPUs to jobs: concurrent jobs take different ones. Light: CUDA is not asked."""

import contextlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 0.5
log = logging.getLogger(__name__)
_held: list[FileLock] = []  # of this process; the system frees them when it ends, however it ends


def take_gpus(*, count: int, cells_per_gpu: int, folder: Path | None = None) -> list[str]:
    """Wait for free GPUs and keep them until this process ends; CUDA then sees no others.

    Call it before CUDA starts. It takes nothing without a GPU, or when this process has taken some already. A job takes
    its `count` together, or all of a smaller machine; up to `cells_per_gpu` jobs share one. By default the `folder` of
    the locks is this user's, for the whole machine. Returns names as CUDA_VISIBLE_DEVICES has them.
    """
    known = visible_gpus()
    if not known or _held:
        return []
    place, said = folder or Path(tempfile.gettempdir()) / f"distilgrid-gpus-{os.getuid()}", False
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    while not (taken := _try(known, min(count, len(known)), cells_per_gpu, place)):
        if not said:
            log.info("waiting for one of %d GPUs, each shared by up to %d jobs", len(known), cells_per_gpu)
        said = True
        time.sleep(POLL_SECONDS)
    os.environ[VISIBLE] = ",".join(taken)
    return taken


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use: those in CUDA_VISIBLE_DEVICES, else all of the machine."""
    if VISIBLE in os.environ:
        return [name.strip() for name in os.environ[VISIBLE].split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    devices = (re.fullmatch(r"nvidia(\d+)", entry.name) for entry in Path("/dev").glob("nvidia*"))
    return sorted((found[1] for found in devices if found), key=int)


def _try(known: Sequence[str], count: int, cells_per_gpu: int, folder: Path) -> list[str]:
    """Take `count` GPUs, the emptiest first; none when fewer are free."""
    with contextlib.ExitStack() as locks:
        taken: list[str] = []
        for slot in range(cells_per_gpu):
            for name in known:
                if len(taken) < count and name not in taken and (lock := _lock(folder, name, slot)):
                    locks.callback(lock.release)
                    taken.append(name)
                    _held.append(lock)
        if len(taken) == count:
            locks.pop_all()
            return taken
    _held.clear()
    return []


def _lock(folder: Path, name: str, slot: int) -> FileLock | None:
    lock = FileLock(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', name)}.{slot}.lock", fallback_to_soft=False)
    with contextlib.suppress(Timeout):
        lock.acquire(blocking=False)
    return lock if lock.is_locked else None
