"""Why a runtime did not run a model, as one line for tables. Light."""

import contextlib
from collections.abc import Iterator

from distilgrid.core.errors import UNPRINTABLE, UserError
from distilgrid.runtimes.base import UnsupportedError

LONGEST = 200
OUT_OF_MEMORY = "out of memory"


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn whatever a runtime raises, of many types, into `UnsupportedError` with its reason.

    Missing packages and what the system reports with a number, a full disk say, are no property of the model and pass.

    Raises:
        UnsupportedError: for all else.
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
    """The first line of what an error says, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _reason(error: Exception) -> str:
    line = _plain(first_line(error))
    # CUDA's allocator in torch has a type for it, ONNX Runtime says it in the middle of a longer line.
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or OUT_OF_MEMORY in str(error).lower():
        return f"{OUT_OF_MEMORY}: {line}"[:LONGEST]
    return f"does not run: {line}"[:LONGEST]


def _plain(line: str) -> str:
    return " ".join(UNPRINTABLE.sub(" ", line).split())
