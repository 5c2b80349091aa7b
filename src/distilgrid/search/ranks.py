"""Kendall's rank correlation, with an interval."""

import math
from collections.abc import Sequence

FEWEST = 5
"""The fewest pairs of values whose rank correlation has an interval."""


def kendalls_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two lists of N values; None where all values of either are equal."""
    from scipy.stats import kendalltau

    tau = float(kendalltau(first, second).statistic)
    return None if math.isnan(tau) else tau


def tau_bounds(tau: float, count: int, confidence: float) -> tuple[float, float]:
    """An approximate interval of Kendall's tau over `count` pairs of values, at least FEWEST.

    Fieller, Hartley & Pearson 1957: atanh(tau) is nearly normal with the variance 0.437 / (count - 4). A perfect order
    counts as half a discordant pair, because atanh(1) is infinite.
    """
    from scipy.special import ndtri

    most = 1 - 2 / (count * (count - 1))
    middle = math.atanh(min(most, max(-most, tau)))
    margin = float(ndtri((1 + confidence) / 2)) * math.sqrt(0.437 / (count - 4))
    return min(tau, math.tanh(middle - margin)), max(tau, math.tanh(middle + margin))
