"""The workflow's side: it names a place for the warm process. Nothing is started before a job could use it."""

import atexit
import functools
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from distilgrid.jobs.warm.protocol import FOLDER, LOG, SOCKET

LONGEST = 90  # bytes of a socket's path; the kernel allows 107, and a process id is added for a moment


def offer(*, log: Path) -> None:
    """Let the jobs of this process share a warm one, which the first of them starts.

    Args:
        log: what the warm process writes about itself.
    """
    folder = _folder()
    if len(os.fsencode(folder / SOCKET)) <= LONGEST:
        os.environ |= {FOLDER: str(folder), LOG: str(log)}


def withdraw() -> None:
    """Let the jobs of this process start cold, whatever a workflow around it offers its own."""
    for name in (FOLDER, LOG):
        os.environ.pop(name, None)


@functools.cache
def _folder() -> Path:
    """A name that nobody can guess. The warm process removes the folder too, but it may be killed."""
    folder = Path(tempfile.gettempdir()) / f"distilgrid-{secrets.token_hex(8)}"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
