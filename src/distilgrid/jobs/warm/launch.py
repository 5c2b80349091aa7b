"""Starting the warm process. Only the standard library."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from distilgrid.jobs.process import TUNING, has_workflow, workflow_is_gone
from distilgrid.jobs.warm.protocol import ARROW_ALLOCATOR, SOCKET, THREAD_VARIABLES, identity

BACKLOG = 256  # jobs that wait while it loads
COMMAND = [sys.executable, "-m", "distilgrid.jobs.warm.server"]


def start(folder: Path, *, log: Path) -> None:
    """Start the warm process of this job's workflow, unless another job has: a socket in the folder then listens.

    Args:
        folder: appears with the socket in it, private.
        log: what the warm process says about itself.

    Raises:
        OSError: when it cannot be started, or could not know when to end.
    """
    if not has_workflow() or workflow_is_gone():
        raise ProcessLookupError("no workflow")
    log.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f"{folder.name}-{os.getpid()}")
    scratch.mkdir(mode=0o700)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(scratch / SOCKET))
            listener.listen(BACKLOG)
            scratch.rename(folder)  # fails for all jobs but one
            with log.open("w") as output:
                _detached([*COMMAND, str(folder), str(listener.fileno())], listener, output.fileno())
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _detached(command: list[str], listener: socket.socket, output: int) -> None:
    """Start it as no descendant of this job, so that nobody counts or ends it with the job."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    # A process with threads must not fork.
    single = dict.fromkeys(THREAD_VARIABLES, "1") | {"TOKENIZERS_PARALLELISM": "false"}
    try:
        subprocess.Popen(
            [*command, identity(os.environ)],
            env=TUNING | os.environ | single | {ARROW_ALLOCATOR: "background_thread:false"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    finally:
        os._exit(0)
