"""A job's side: hand the work to the workflow's warm process, or do it cold when there is none.

Only the standard library: this runs before anything heavy is imported, and mostly instead of it.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from distilgrid.jobs.process import POLL_SECONDS, workflow_is_gone
from distilgrid.jobs.warm.protocol import (
    FOLDER,
    FORWARDED,
    LOAD_SECONDS,
    LOG,
    SOCKET,
    identity,
    receive,
    send,
)

# Not `benchmark`, `latency` and `search`: what they measure runs in a clean process.
STAGES = {"finetune", "augment", "record", "supernet", "distill", "export", "features"}


def run_warm(arguments: list[str]) -> int | None:
    """Have a forked child of the warm process do this job, as if it were this process.

    The first job of a workflow starts the warm process, and waits until it has loaded what the job would load itself.

    Returns:
        The exit code; or None when this process must do the job itself: it is not offered a warm start, it has
        surroundings of its own, or the warm process is unfit, refuses or ends.
    """
    folder = os.environ.get(FOLDER)
    if not folder or not STAGES.intersection(arguments[:1]) or sys.platform != "linux":
        return None
    try:
        connection = _connect(Path(folder))
    except OSError:
        return None
    with connection, _Signals(connection) as signals:
        return _hand_over(connection, arguments, signals)


class _Signals:
    """Keeps the signals that this process gets, and hands them on once the warm process has a child for them."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.caught, self.heard = connection, list[int](), False

    def __enter__(self) -> "_Signals":
        self.handlers = {number: signal.signal(number, self._catch) for number in FORWARDED if not _ignored(number)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def hand_on(self) -> None:
        """From now on, and those that came before."""
        self.heard = True
        for number in self.caught:
            self._tell(number)

    def _catch(self, number: int, _frame: object) -> None:
        self.caught.append(number)
        if self.heard:
            self._tell(number)

    def _tell(self, number: int) -> None:
        with contextlib.suppress(OSError):
            send(self.connection, {"signal": number})


def _connect(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(LOAD_SECONDS)
    try:
        try:
            connection.connect(str(folder / SOCKET))
        except FileNotFoundError:
            from distilgrid.jobs.warm.launch import start

            start(folder, log=Path(os.environ[LOG]))
            connection.connect(str(folder / SOCKET))
    except BaseException:
        connection.close()
        raise
    return connection


def _hand_over(connection: socket.socket, arguments: list[str], signals: _Signals) -> int | None:
    """Ask for a child, and wait for its end."""
    if not _accepted(connection, arguments, signals.caught):
        if signals.caught:
            return _die(signals.caught[-1])
        return 1 if workflow_is_gone() else None
    signals.hand_on()
    ended = _ended(connection)
    if ended is None:
        return _orphaned(signals.caught)
    return _die(ended["signal"]) if "signal" in ended else int(ended["exit"])


def _accepted(connection: socket.socket, arguments: list[str], caught: list[int]) -> bool:
    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "identity": identity(os.environ),
        "arguments": arguments,
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "umask": umask,
        "ignored": [number for number in FORWARDED if _ignored(number)],
    }
    try:
        send(connection, request, fds=[0, 1, 2])
        return _answered(connection, caught) and "accepted" in receive(connection)[0]
    except OSError:
        return False


def _answered(connection: socket.socket, caught: list[int]) -> bool:
    """Wait for the warm process to be ready, but not for longer than this job is wanted."""
    limit = time.monotonic() + LOAD_SECONDS
    while not select.select([connection], [], [], POLL_SECONDS)[0]:
        if caught or workflow_is_gone() or time.monotonic() > limit:
            return False
    return True


def _ended(connection: socket.socket) -> dict[str, Any] | None:
    """How the child ended; None when the warm process ended first, which ends its children."""
    connection.settimeout(None)
    try:
        return receive(connection)[0]
    except OSError:
        return None


def _orphaned(caught: list[int]) -> int | None:
    if caught:
        return _die(caught[-1])
    if workflow_is_gone():
        return 1
    sys.stderr.write("the warm process of this workflow is gone: starting this job again without it\n")
    return None


def _ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _die(number: int) -> int:
    """Die of the signal that the child died of, so that whoever waits sees the same."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
