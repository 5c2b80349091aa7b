"""The warm process of a workflow: it loads what the stages need, then forks a child for every job that asks.

Run: python -m distilgrid.jobs.warm.server FOLDER LISTENER IDENTITY        (a job does: see `distilgrid.jobs.warm.launch`)

It has one thread, and never computes anything itself. A child's way back runs through it: it tells the job how the
child ended, hands signals on, and kills the child of a job that is gone. It ends soon after its workflow.
"""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilgrid.jobs.process import POLL_SECONDS, workflow_is_gone
from distilgrid.jobs.warm import preload
from distilgrid.jobs.warm.child import Job, do
from distilgrid.jobs.warm.protocol import identity, receive, send

ANSWER_SECONDS = 5.0  # for what a job sends at once
LINGER_SECONDS = 1.0  # in which children that saw their workflow end may say so in their logs


@dataclass(frozen=True)
class Running:
    """A child and the job that waits for it."""

    pid: int
    connection: socket.socket
    title: str
    started: float = field(default_factory=time.perf_counter)


class Server:
    """Waits for jobs on a socket that listens already."""

    def __init__(self, listener: socket.socket, *, identity: str) -> None:
        self.listener, self.identity = listener, identity
        self.jobs: dict[int, Running] = {}
        self.gone: float | None = None  # when the workflow was seen to be
        self.wakeup, self.waker = socket.socketpair()  # a child's end wakes the loop
        self.wakeup.setblocking(False)
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.wakeup, selectors.EVENT_READ)

    def serve(self) -> Job | None:
        """Serve until the workflow has ended; in each child, return what it is to do."""
        while not self._over():
            for key, _ in self.selector.select(POLL_SECONDS):
                if key.fileobj is self.wakeup:
                    self.wakeup.recv(4096)
                elif key.fileobj is not self.listener:
                    self._hear(key.data)
                elif job := self._accept():
                    return job
            self._collect()
        return None

    def _over(self) -> bool:
        if self.gone is None and workflow_is_gone():
            self.gone = time.monotonic()
        return self.gone is not None and (not self.jobs or time.monotonic() > self.gone + LINGER_SECONDS)

    def _accept(self) -> Job | None:
        """Fork a child for a job; only the child gets the job."""
        connection, _ = self.listener.accept()
        connection.settimeout(ANSWER_SECONDS)
        try:
            request, files = receive(connection, fds=3)
        except OSError:
            connection.close()
            return None
        job = Job(request, files, os.getpid())
        if self._fork(connection, request) == 0:
            return job
        for file in files:
            os.close(file)
        return None

    def _fork(self, connection: socket.socket, request: dict[str, Any]) -> int | None:
        if request.get("identity") != self.identity:
            _refuse(connection, "its package, libraries or surroundings are not mine")
            return None
        sys.stdout.flush()  # or the child would write it again
        try:
            pid = os.fork()
        except OSError as error:
            _refuse(connection, str(error))
            return None
        if pid == 0:
            self._forget(connection)
            return pid
        self.jobs[pid] = Running(pid, connection, _title(request["arguments"]))
        self.selector.register(connection, selectors.EVENT_READ, self.jobs[pid])
        with contextlib.suppress(OSError):  # a job that is gone is noticed in `_hear`
            send(connection, {"accepted": pid})
        return pid

    def _forget(self, connection: socket.socket) -> None:
        """In a child: let go of all that is the server's, or others would not notice its end."""
        signal.set_wakeup_fd(-1)
        self.selector.close()
        for held in (self.listener, self.wakeup, self.waker, connection, *(r.connection for r in self.jobs.values())):
            held.close()

    def _hear(self, running: Running) -> None:
        """A signal for the child, or the end of its job."""
        try:
            number = int(receive(running.connection)[0]["signal"])
        except OSError:
            number = signal.SIGKILL  # as when a job that works itself is killed
            self.selector.unregister(running.connection)
        os.kill(running.pid, number)

    def _collect(self) -> None:
        """Tell the jobs whose children have ended."""
        while self.jobs:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            running, code = self.jobs.pop(pid), os.waitstatus_to_exitcode(status)
            seconds, used = time.perf_counter() - running.started, usage.ru_utime + usage.ru_stime
            say(f"{_outcome(code)}, {seconds:.1f} s, {used:.1f} s of CPU, {usage.ru_maxrss >> 10} MiB: {running.title}")
            with contextlib.suppress(KeyError):  # a job that is gone was taken off the list
                self.selector.unregister(running.connection)
            with contextlib.suppress(OSError), running.connection:
                send(running.connection, {"exit": code} if code >= 0 else {"signal": -code})


def _title(arguments: list[str]) -> str:
    out = arguments[arguments.index("--out") + 1] if "--out" in arguments[:-1] else ""
    return f"{arguments[0]} {out}".rstrip()


def _outcome(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def _refuse(connection: socket.socket, reason: str) -> None:
    say(f"refused a job: {reason}")
    with contextlib.suppress(OSError), connection:
        send(connection, {"refused": reason})


def say(line: str) -> None:
    """A line for the log of the warm process; a full disk does not end it."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        sys.stdout.flush()


def _fit(expected: str) -> bool:
    """Load everything; returns whether this process may serve now, and writes into its log why not."""
    started, environment = time.perf_counter(), dict(os.environ)
    preload.load()
    problem = preload.obstacle()
    if workflow_is_gone():
        problem = "the workflow is gone"
    elif identity(environment) != expected:
        problem = "the package or its libraries changed while they were loaded"
    if problem:
        say(f"jobs start cold: {problem}")
    else:
        say(f"loaded in {time.perf_counter() - started:.1f} s")
    return problem is None


def main() -> None:
    """Serve; in a child, do its job."""
    folder, expected = Path(sys.argv[1]), sys.argv[3]
    listener = socket.socket(fileno=int(sys.argv[2]))
    if _fit(expected):
        job = Server(listener, identity=expected).serve()
        if job is not None:
            do(job)
    if workflow_is_gone():  # otherwise the folder stays: jobs that wait notice, and no other job tries this again
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
