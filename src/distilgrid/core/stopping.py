"""Requests to stop, as batch systems and workflows send them."""

import contextlib
import signal
from collections.abc import Callable, Iterator

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # batch systems send the second ahead of a time limit


@contextlib.contextmanager
def stopping_gently() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal asked to stop; within the body, signals do nothing else.

    The body can so save its work before it ends.
    """
    asked: list[int] = []
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in STOP_SIGNALS}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
