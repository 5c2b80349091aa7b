"""The confidence interval and the drift of a median, from the medians of turns.

Successive runs of one turn share the state of the machine, so a turn's median counts as one observation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
FEWEST = 6
"""Fewest turns whose order statistics bound a median with 95 %."""


@dataclass(frozen=True)
class Steadiness:
    """Precision of the median of one measurement.

    Attributes:
        width: of the median's confidence interval, as a share of the median; None for fewer than 6 turns.
        drift: change from the median of the first half of the turns to that of the second, as a share.
        turns: number of turns.
    """

    width: float | None
    drift: float
    turns: int

    def settled(self, precision: float) -> bool:
        """Whether the interval is at most this share wide."""
        return self.width is not None and self.width <= precision

    def drifts(self, bound: float) -> bool:
        """Whether the median moved by more than this share."""
        return abs(self.drift) > bound

    def noisy(self, bound: float) -> bool:
        """Whether the median drifts, or is not known to the bound."""
        return self.drifts(bound) or not self.settled(bound)


def steadiness(medians: Sequence[float]) -> Steadiness:
    """Precision of a median, from the medians of turns in the order taken."""
    values = np.asarray(medians, dtype=float)
    middle = float(np.median(values))
    half = len(values) // 2
    drift = float(np.median(values[-half:]) - np.median(values[:half])) / middle if half else 0.0
    return Steadiness(_width(values), drift, len(values))


def _width(medians: np.ndarray) -> float | None:
    """Width of the interval of order statistics (binomial), which makes no assumption about the distribution."""
    if len(medians) < FEWEST:
        return None
    bounds = stats.quantile_test(medians, p=0.5).confidence_interval(CONFIDENCE)
    return float((bounds.high - bounds.low) / np.median(medians))
