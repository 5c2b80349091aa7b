"""Guards around libraries: silence, and the reason for a failure as one line for tables. Light."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from distilgrid.core.errors import UNPRINTABLE, UserError
from distilgrid.runtimes.base import UnsupportedError

LONGEST = 200
OUT_OF_MEMORY = "out of memory"


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn the errors of a runtime, of many types, into `UnsupportedError` with the reason.

    Missing packages and errors of the system with a number, such as a full disk, do not depend on the model and pass.
    """
    try:
        yield
    except (UnsupportedError, UserError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnsupportedError(_reason(error)) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message, or the error's type if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _reason(error: Exception) -> str:
    line = " ".join(UNPRINTABLE.sub(" ", first_line(error)).split())
    # CUDA's allocator in torch has a type for it; ONNX Runtime says it in the middle of a longer line.
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or OUT_OF_MEMORY in str(error).lower():
        return f"{OUT_OF_MEMORY}: {line}"[:LONGEST]
    return f"does not run: {line}"[:LONGEST]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings, logs, and output of native code; exceptions pass."""
    disabled, level = logging.root.manager.disable, logging.root.level
    _flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in kept:
            os.dup2(nowhere, stream)
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.setLevel(level)  # converters raise it, which would hide our lines
        _flush()
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # None, closed or broken
            stream.flush()
