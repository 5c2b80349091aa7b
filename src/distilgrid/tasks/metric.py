"""A score of predicted labels. Light: no NumPy until one is computed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score of predicted labels.

    A bootstrap scores many resamples of the same rows: it needs each row's statistics and their sums, not the rows.

    Attributes:
        name: in parameter files and tables.
        per_row: from labels (N,) and predicted labels (N,) to statistics (N, k).
        combine: from statistics summed over rows (..., k) to values; from the rows' own (N, k) unless `summed`.
        higher_is_better: whether a larger value is a better one.
        scale: factor for tables, which show points.
        summed: whether `combine` takes sums.
        direct: from labels and predicted labels to the value, where that is more exact than sums.
        weigh: from weights (S, N) and statistics (N, k) to values (S,): a faster way where there are no sums.
    """

    name: str
    per_row: "Callable[[np.ndarray, np.ndarray], np.ndarray]"
    combine: "Callable[[np.ndarray], np.ndarray]"
    higher_is_better: bool = True
    scale: float = 100
    summed: bool = True
    direct: "Callable[[np.ndarray, np.ndarray], float] | None" = None
    weigh: "Callable[[np.ndarray, np.ndarray], np.ndarray] | None" = None

    def value(self, labels: "np.ndarray", predicted: "np.ndarray") -> float:
        """The score of all rows: labels and predicted labels, each (N,). Undefined scores count as 0."""
        if self.direct is not None:
            return self.direct(labels, predicted)
        statistics = self.per_row(labels, predicted)
        return float(self.combine(statistics.sum(axis=0) if self.summed else statistics))

    def resampled(self, weights: "np.ndarray", statistics: "np.ndarray") -> "np.ndarray":
        """The score of each resample (S,): `weights` (S, N) say how often each row was drawn."""
        if self.summed:
            return self.combine(weights @ statistics)
        if self.weigh is not None:
            return self.weigh(weights, statistics)
        import numpy as np

        return np.array([self.combine(np.repeat(statistics, drawn.astype(int), axis=0)) for drawn in weights])

    def better(self, value: float, other: float) -> bool:
        """Whether a value is better than another one."""
        return value > other if self.higher_is_better else value < other

    def best(self, value: float, other: float | None) -> float:
        """The better of two values, or the one there is."""
        return value if other is None or self.better(value, other) else other

    def merit(self, value: float) -> float:
        """The value as a number of which more is better."""
        return value if self.higher_is_better else -value
