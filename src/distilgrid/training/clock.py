"""Time of a training run by section."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator


class Clock:
    """Seconds by section: `with clock("forward"): ...`.

    On a GPU, a section counts the time to queue its work; waiting counts where a result is first read.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.started = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the clock started."""
        return time.perf_counter() - self.started

    @contextlib.contextmanager
    def __call__(self, section: str) -> Iterator[None]:
        """Add the time of the body to a section."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[section] += time.perf_counter() - started
