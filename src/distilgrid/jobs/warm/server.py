"""The warm process: it loads the modules of jobs when the first job asks, then forks a child for each job."""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, NoReturn

from distilgrid.core.gpus import visible_gpus
from distilgrid.jobs.process import POLL_SECONDS, TUNING, workflow_is_gone
from distilgrid.jobs.warm.client import ADDRESS, FORWARDED, FREE, SINGLE, WARM_STAGES, identity, same_user

# Late imports of stages; docs/decisions/005-warm-start.md says what they cost.
OURS = (
    *("cli.app", "plan.expand", "plan.names", "stages.runner", "search.architecture", "models.facts"),
    *("training.cpu.acceleration", "training.cpu.vocabulary", "training.efficiency", "training.average"),
    *("tasks.long_texts", "stages.distill.surplus"),
)
FEATURES = ("methods", "signals", "tasks.kinds")
"""Folders whose modules a table of strings names, so that jobs load them late; reports stay out."""
MODELS = ("auto.tokenization_auto", "bert.modeling_bert", "bert.tokenization_bert")
LATE = (*(f"distilgrid.{name}" for name in OURS), "pandas", "scipy.stats", "sklearn.metrics")
LATE += tuple(f"transformers.models.{name}" for name in MODELS)
COMMAND = [sys.executable, "-m", "distilgrid.jobs.warm.server"]


def start(*, log: Path) -> None:
    """Start the warm process of this workflow with its log, and tell the workflow's jobs its address."""
    name = f"distilgrid-{secrets.token_hex(16)}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, log.open("w") as output:
        listener.bind(f"\0{name}")
        listener.listen(256)  # jobs that wait while the warm process loads
        command, given = [*COMMAND, str(listener.fileno())], [listener.fileno()]
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        subprocess.Popen(command, env=TUNING | os.environ | SINGLE, pass_fds=given, start_new_session=True, **streams)
    os.environ[ADDRESS] = name


def main() -> None:
    """Fork a process for each job until the workflow has ended."""
    for number in FORWARDED:  # this process ends with its workflow, and by no signal
        signal.signal(number, signal.SIG_IGN)
    listener, environment = socket.socket(fileno=int(sys.argv[1])), dict(os.environ)
    expected, loaded = identity(environment), False
    while not workflow_is_gone():
        if not select.select([listener], [], [], POLL_SECONDS)[0]:
            continue
        if not loaded:
            load()
            problem = obstacle() if identity(environment) == expected else "the package or its libraries changed"
            say(f"jobs start cold: {problem}" if problem else "loaded")
            if problem:
                return
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes below
            loaded = True
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), connection:  # a job without an answer starts cold
            if os.fork() == 0:
                listener.close()
                _handle(connection, expected)
    time.sleep(1)  # children that saw their workflow end say so in their logs


def load() -> None:
    """Import everything, and exempt it from garbage collection so that children share its pages."""
    gc.disable()  # saves a quarter of the time
    for name in (*WARM_STAGES.values(), *LATE, *_features()):
        if not workflow_is_gone():
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _features() -> list[str]:
    folders = [importlib.import_module(f"distilgrid.{name}") for name in FEATURES]
    modules = [module.name for each in folders for module in walk_packages(each.__path__, f"{each.__name__}.")]
    return [name for name in modules if not name.endswith(".report")]


def obstacle() -> str | None:
    """The reason why this process must not fork jobs, if any."""
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    if len(threads) != 1:  # a child would have their locks without them
        return f"a library started threads: {', '.join(threads)}"
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.version.cuda or not visible_gpus():
        return None
    if (pid := os.fork()) == 0:  # CUDA fails in a child when a library has started it in this process
        with contextlib.suppress(Exception):
            torch.zeros(1, device="cuda")
            os._exit(0)
        os._exit(1)
    return "a forked process cannot use the GPU of this machine" if os.waitpid(pid, 0)[1] else None


def _handle(connection: socket.socket, expected: str) -> NoReturn:
    """In a process per job: fork the child that works, and end it with its job."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        files = socket.recv_fds(connection, 1, 3)[1]
        with connection.makefile("rb") as stream:
            request = json.loads(stream.readline())
        if not same_user(connection) or request["identity"] != expected:
            say("refused a job: its package, libraries or surroundings are others")
        elif pid := os.fork():
            _attend(connection, pid, request["arguments"])
        else:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            if connection.recv(1):  # from now on, the job hands signals on
                connection.close()
                _do(request, files)
    finally:
        os._exit(1)


def _attend(connection: socket.socket, pid: int, arguments: list[str]) -> None:
    """Wait for the child, or for the end of its job, which closes the connection."""
    started, process = time.perf_counter(), os.pidfd_open(pid)
    socket.send_fds(connection, [b"!"], [process])
    ends = select.poll()
    ends.register(process, select.POLLIN)
    ends.register(connection, select.POLLRDHUP)
    if process not in dict(ends.poll()):
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    code, seconds = os.waitstatus_to_exitcode(status), time.perf_counter() - started
    how, used = f"exit {code}" if code >= 0 else f"signal {-code}", usage.ru_utime + usage.ru_stime
    out = arguments[arguments.index("--out") + 1] if "--out" in arguments[:-1] else ""
    say(f"{how}, {seconds:.1f} s, {used:.1f} s of CPU, {usage.ru_maxrss >> 10} MiB: {arguments[0]} {out}".rstrip())
    connection.sendall(str(code).encode())


def _do(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Do a job and end this process, without the half second that freeing its memory takes."""
    _become(request, files)
    result = _result()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(result)


def _become(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Take over the job's files, variables and arguments, as if its shell had started this process."""
    for number in FORWARDED:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else usual)
    for stream, file in enumerate(files):
        os.dup2(file, stream)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
    os.umask(request["umask"])
    for name in FREE:
        os.environ.pop(name, None)
    os.environ.update(request["environment"])
    del os.environ[ADDRESS]  # this is the warm start
    tempfile.tempdir = None  # to be looked up in the job's variables
    sys.argv[1:] = request["arguments"]


def _result() -> int:
    """Exit code of `python -m distilgrid`, run in this process."""
    try:
        runpy.run_module("distilgrid", run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return 1


def say(line: str) -> None:
    """Write a line into the log. A full disk does not end the warm process."""
    with contextlib.suppress(OSError):
        os.write(1, f"{time.strftime('%H:%M:%S')} {line}\n".encode())


if __name__ == "__main__":
    main()
