"""What a forked child does: become the job that asked for it, do its work, and end as a fresh process would."""

import atexit
import ctypes
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from distilgrid.jobs.warm.protocol import FORWARDED, FREE

PR_SET_PDEATHSIG = 1
UNWRITTEN = 120  # Python's exit code when the last output cannot be written


@dataclass(frozen=True)
class Job:
    """What a child is to do.

    Attributes:
        request: see `distilgrid.jobs.warm.client`.
        files: the job's standard input, output and errors.
        server: the process id of the warm process, which no child may outlive.
    """

    request: Mapping[str, Any]
    files: Sequence[int]
    server: int


def do(job: Job) -> NoReturn:
    """Do the job and end this process.

    It leaves as an interpreter does, except that it frees nothing: that takes half a second, for the pages it would
    write to are the warm process's.
    """
    code = 1
    try:
        code = _result(job)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = code or UNWRITTEN
        os._exit(code)


def _result(job: Job) -> int:
    """The exit code, after the work."""
    try:
        become(job)
        sys.modules["distilgrid.cli.app"].main()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return (ended.code or 0) & 0xFF
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def become(job: Job) -> None:
    """Take on a job's files, folder, variables and arguments, as if its shell had started this process."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job.server:  # it ended before the line above
        os._exit(1)
    _forget_exit_handlers()
    _reset_signals(job.request["ignored"])
    for number, file in enumerate(job.files):
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
    os.umask(job.request["umask"])
    os.chdir(job.request["folder"])
    _replace_environment(job.request["environment"])
    entry = sys.modules["distilgrid.__main__"]
    sys.modules["__main__"] = entry  # where messages take the name of the program from
    sys.argv = [str(entry.__file__), *job.request["arguments"]]


def _forget_exit_handlers() -> None:
    """Those that libraries registered while they were loaded clean up after the warm process, and take 0.1 s."""
    atexit._clear()
    for inherited in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        inherited.atexit = False
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)


def _reset_signals(ignored: Sequence[int]) -> None:
    for number in (*FORWARDED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _replace_environment(wanted: Mapping[str, str]) -> None:
    """The job's own variables, and those that libraries set when they were loaded."""
    added = {name: value for name, value in os.environ.items() if name not in wanted and name not in FREE}
    os.environ.clear()
    os.environ.update(added | dict(wanted))
