"""A job's side of the warm start. Only the standard library."""

import contextlib
import hashlib
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from distilgrid.jobs.process import POLL_SECONDS, TUNING, workflow_is_gone

WARM_STAGES: dict[str, str] = importlib.import_module("distilgrid.stages.table").warm_stages()
"""The module that does the work of each warm stage."""
ADDRESS = "DISTILGRID_WARM"  # variable: name of the abstract socket
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
# A process with threads must not fork.
POOLS = ("OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "GOTO_NUM", "RAYON_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
SINGLE = {f"{name}_THREADS": "1" for name in POOLS}
SINGLE |= {"TOKENIZERS_PARALLELISM": "false", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
# Variables that may differ between the warm process and a job, because no loaded module keeps their values.
FREE = {*SINGLE, *TUNING, ADDRESS, "_", "SHLVL", "PWD", "OLDPWD", "TMPDIR", "TMP", "TEMPDIR", "TEMP"}


def run_warm(arguments: list[str]) -> int | None:
    """Run a job in a child of the warm process; returns its exit code, or None when this process must do the job."""
    name = os.environ.get(ADDRESS)
    if not name or not arguments or arguments[0] not in WARM_STAGES:
        return None
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{name}")
        child = _ask(connection, arguments) if same_user(connection) else None
        return None if child is None else _wait(connection, child)
    return None


def identity(environment: Mapping[str, str]) -> str:
    """Digest of the state that a child inherits and a fresh process would read anew. A job with another starts cold."""
    import resource  # of Unix

    variables = sorted(item for item in environment.items() if item[0] not in FREE)
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    place = [sys.executable, str(Path.cwd()), os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))]
    installed = (Path(name) for name in sys.path if name.endswith("-packages"))
    sources = sorted((str(p), p.stat().st_mtime_ns) for p in (*Path(__file__).parents[2].rglob("*.py"), *installed))
    return hashlib.sha256(repr([variables, limits, place, sources]).encode()).hexdigest()


def same_user(connection: socket.socket) -> bool:
    """Whether the other end is this user's. An abstract address has no permissions."""
    owner = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # process, user, group
    return int.from_bytes(owner[4:8], sys.byteorder) == os.getuid()


def _ask(connection: socket.socket, arguments: list[str]) -> int | None:
    """Ask for a child. Returns a descriptor of its process, or None when the warm process refuses."""
    os.umask(umask := os.umask(0o077))
    ignored = [number for number in FORWARDED if signal.getsignal(number) is signal.SIG_IGN]
    request = {"arguments": arguments, "environment": dict(os.environ), "umask": umask, "ignored": ignored}
    socket.send_fds(connection, [b"?"], [0, 1, 2])
    connection.sendall(json.dumps(request | {"identity": identity(os.environ)}).encode() + b"\n")
    while not select.select([connection], [], [], POLL_SECONDS)[0]:
        if workflow_is_gone():
            sys.exit(1)
    return next(iter(socket.recv_fds(connection, 1, 1)[1]), None)


def _wait(connection: socket.socket, child: int) -> int | None:
    """Forward signals until the child ends, then end as it did."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, number)

    wanted = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in wanted}
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"!")  # the child waits for this, so that no signal is lost
        if said := connection.recv(16):
            return int(said) if int(said) >= 0 else _die(-int(said))
    for number, handler in before.items():
        signal.signal(number, handler)
    if workflow_is_gone():
        return 1
    sys.stderr.write("the warm process of this workflow is gone: starting this job again without it\n")
    return None


def _die(number: int) -> int:
    """Die of the signal that killed the child, so that the waiting process sees the same."""
    with contextlib.suppress(OSError):  # nobody handles SIGKILL
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
