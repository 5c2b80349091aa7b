"""How well a median is known: its confidence interval and its drift, from the medians of turns.

Successive runs of one turn share whatever the machine did just then, so a turn's median counts as one observation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
FEWEST = 6
"""Turns below which no order statistics bound a median with 95 %."""


@dataclass(frozen=True)
class Steadiness:
    """How well the median of one measurement is known.

    Attributes:
        width: of the median's confidence interval, as a share of the median; None for fewer than 6 turns.
        drift: the change from the median of the first half of the turns to that of the second, as a share.
        turns: how many there are.
    """

    width: float | None
    drift: float
    turns: int

    def settled(self, precision: float) -> bool:
        """Whether the median is known to a share of it."""
        return self.width is not None and self.width <= precision

    def drifts(self, bound: float) -> bool:
        """Whether the machine changed under the measurement by more than a share."""
        return abs(self.drift) > bound

    def noisy(self, bound: float) -> bool:
        """Whether it is no figure to rely on: it drifts, or its median is not even known to the bound."""
        return self.drifts(bound) or not self.settled(bound)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `benchmark.json`."""
        return asdict(self)


def steadiness(medians: Sequence[float]) -> Steadiness:
    """How well a median is known, from the medians of turns in the order taken."""
    values = np.asarray(medians, dtype=float)
    middle = float(np.median(values))
    half = len(values) // 2
    drift = float(np.median(values[-half:]) - np.median(values[:half])) / middle if half else 0.0
    return Steadiness(_width(values), drift, len(values))


def _width(medians: np.ndarray) -> float | None:
    """The interval is that of order statistics (binomial): it assumes nothing of the distribution."""
    if len(medians) < FEWEST:
        return None
    bounds = stats.quantile_test(medians, p=0.5).confidence_interval(CONFIDENCE)
    return float((bounds.high - bounds.low) / np.median(medians))
