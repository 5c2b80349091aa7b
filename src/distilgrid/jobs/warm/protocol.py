"""What a job and the warm process tell each other, as JSON over a unix socket.

Only the standard library: every job imports this before it knows whether it will need anything else.
"""

import hashlib
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distilgrid.jobs.process import TUNING

FOLDER = "DISTILGRID_WARM"  # of the socket: the workflow chooses a name, the first job makes it
LOG = "DISTILGRID_WARM_LOG"
SOCKET = "socket"
LOAD_SECONDS = 60.0  # in which the warm process must answer its first jobs
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

_THREADS = ("OMP", "MKL", "OPENBLAS", "RAYON", "GOTO", "VECLIB", "NUMEXPR")  # `start_job` decides
THREAD_VARIABLES = tuple(f"{name}_NUM_THREADS" for name in _THREADS)
ARROW_ALLOCATOR = "JE_ARROW_MALLOC_CONF"
# May differ between the warm process and a job: they are overridden, or say nothing.
FREE = {*THREAD_VARIABLES, *TUNING, ARROW_ALLOCATOR, "TOKENIZERS_PARALLELISM", "_", "SHLVL", "PWD", "OLDPWD"}
_HEADER = struct.Struct("!I")


def send(connection: socket.socket, message: Mapping[str, Any], *, fds: Sequence[int] = ()) -> None:
    """Send a message, and with it open files.

    Raises:
        OSError: when the other end is gone.
    """
    body = json.dumps(message).encode()
    header = _HEADER.pack(len(body))
    if fds:
        socket.send_fds(connection, [header], list(fds))
        header = b""
    connection.sendall(header + body)


def receive(connection: socket.socket, *, fds: int = 0) -> tuple[dict[str, Any], list[int]]:
    """A message, and up to `fds` open files that came with it.

    Raises:
        OSError: when the other end is gone, or sends no message.
    """
    header, files, _, _ = socket.recv_fds(connection, _HEADER.size, fds)
    (size,) = _HEADER.unpack(header + _exactly(connection, _HEADER.size - len(header)))
    try:
        message = json.loads(_exactly(connection, size))
    except ValueError as error:
        raise ConnectionError("not a message") from error
    return message, files


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size > 0:
        part = connection.recv(min(size, 1 << 16))
        if not part:
            raise ConnectionError("the other end is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def identity(environment: Mapping[str, str]) -> str:
    """A digest of what a forked child would inherit where a fresh process would look for itself.

    A job whose digest differs from the warm process's starts cold: after an edit of the package, an installation, or
    with other variables, limits or cores.

    Args:
        environment: the process's variables, as it was started with them.
    """
    environment = {name: value for name, value in environment.items() if name not in FREE}
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    place = [sys.executable, sys.version, str(Path.cwd()), os.getpriority(os.PRIO_PROCESS, 0)]
    state = [environment, limits, place, sorted(os.sched_getaffinity(0)), sorted(_sources())]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _sources() -> Iterator[tuple[str, int, int]]:
    """The package's files and the folders of installed packages, with time stamp and size."""
    files = Path(__file__).parents[1].rglob("*.py")
    installed = (Path(name) for name in sys.path if name.endswith("-packages"))
    for path in (*files, *installed):
        try:
            found = path.stat()
        except OSError:
            continue
        yield str(path), found.st_mtime_ns, found.st_size
