"""The time between two stamps that each framework sets itself: at the first step's begin and the last step's end."""

import time

import torch


class Stopwatch:
    """Starts once and stops when told; a GPU's queue is waited for at both stamps."""

    def __init__(self) -> None:
        self.started: float | None = None
        self.stopped = 0.0

    def start(self) -> None:
        """Stamp the beginning; later calls do nothing."""
        if self.started is None:
            self.started = _now()

    def stop(self) -> None:
        """Stamp the end; the last call counts."""
        self.stopped = _now()

    @property
    def seconds(self) -> float:
        """Between the stamps."""
        assert self.started is not None
        return self.stopped - self.started


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
