"""Data-parallel training by several processes of one job, which the first process starts.

The others run the same command with a rank in their environment. They train on their share of each batch, sum gradients
with the first one, and write nothing.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from distilgrid.core.artefacts import RANK
from distilgrid.core.errors import UserError
from distilgrid.jobs.process import mark_workflow
from distilgrid.training.placement import World

SIZE, MEETING = "DISTILGRID_WORLD", "DISTILGRID_MEETING"
TIMEOUT = timedelta(minutes=30)  # of waiting for the slowest process, whose evaluation may take a while
LEAVE_SECONDS = 60
NOTICE_SECONDS = 5  # between a lost connection and the end of the process at its other end
POLL_SECONDS = 0.05

Others = list["subprocess.Popen[bytes]"]


@contextlib.contextmanager
def joined_world(processes: int, *, cuda: bool) -> Iterator[World]:
    """Connect this job's processes; the first one starts the others. Raises UserError when another process fails."""
    if RANK in os.environ:
        _ready(Path(os.environ[MEETING]), int(os.environ[RANK])).touch()
        with _connected(int(os.environ[RANK]), int(os.environ[SIZE]), Path(os.environ[MEETING]), cuda) as world:
            yield world
    else:
        with tempfile.TemporaryDirectory(prefix="distilgrid-") as folder:
            meeting = Path(folder) / "meeting"
            others = [_start(rank, processes, meeting) for rank in range(1, processes)]
            try:
                _gather(others, meeting)
                with _connected(0, processes, meeting, cuda) as world, _leading(others):
                    yield world
                _wait(others)
            finally:
                _end(others)


@contextlib.contextmanager
def _connected(rank: int, size: int, meeting: Path, cuda: bool) -> Iterator[World]:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes of a job are on one machine
    if cuda:
        torch.cuda.set_device(rank % torch.cuda.device_count())
    dist.init_process_group(
        "nccl" if cuda else "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=TIMEOUT
    )
    try:
        yield World(rank, size)
    finally:
        dist.destroy_process_group()


def _start(rank: int, size: int, meeting: Path) -> "subprocess.Popen[bytes]":
    mark_workflow()  # the others end with this process, however it dies
    places = {RANK: str(rank), SIZE: str(size), MEETING: str(meeting), "TMPDIR": str(meeting.parent)}
    return subprocess.Popen([sys.executable, "-m", "distilgrid", *sys.argv[1:]], env={**os.environ, **places})


def _ready(meeting: Path, rank: int) -> Path:
    return meeting.with_name(f"ready-{rank}")


def _gather(others: Others, meeting: Path) -> None:
    """Wait until all have started, because connecting to an absent process takes half an hour."""
    while not all(_ready(meeting, rank).exists() for rank, _ in enumerate(others, start=1)):
        _check(others, seconds=POLL_SECONDS)


@contextlib.contextmanager
def _leading(others: Others) -> Iterator[None]:
    """On failure or a stop request, report another process's failure, or end the others before they complain."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, RuntimeError):  # also what a lost connection gives
            _check(others, seconds=NOTICE_SECONDS)
        _end(others)
        raise


def _check(others: Others, *, seconds: float) -> None:
    """Raise UserError if a process fails within some seconds."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        codes = [other.poll() for other in others]
        if any(codes):
            raise UserError(f"a process of this data-parallel job failed (exit codes {codes}); see the lines above")
        time.sleep(POLL_SECONDS)


def _wait(others: Others) -> None:
    for other in others:
        other.wait(timeout=LEAVE_SECONDS)
    _check(others, seconds=POLL_SECONDS)


def _end(others: Others) -> None:
    for other in others:
        other.kill()
        other.wait()
