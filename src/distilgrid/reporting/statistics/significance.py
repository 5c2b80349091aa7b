"""P-values of differences, alone and among many (Holm 1979)."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)


def two_sided(differences: np.ndarray) -> float:
    """The two-sided p-value of resampled differences (S,): twice the share beyond zero.

    Efron & Tibshirani 1993, ch. 15. The observed difference counts as one resample, so the smallest p is 2 / (S + 1).
    """
    beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (1 + beyond) / (len(differences) + 1))


def holm(values: Mapping[Name, float]) -> dict[Name, float]:
    """P-values of a family of comparisons, corrected by Holm's step-down procedure.

    The k-th smallest of m is multiplied by m - k + 1, and no corrected value is smaller than the one before it.
    """
    adjusted: dict[Name, float] = {}
    largest = 0.0
    for rank, (name, value) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(values) - rank) * value))
        adjusted[name] = largest
    return adjusted
