"""Scores of predicted labels. Light: imports NumPy on use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score of predicted labels. A bootstrap scores many resamples from row statistics and their sums."""

    name: str  # name in parameter files and tables
    # from labels (N,) and predicted labels (N,) to statistics (N, k)
    per_row: "Callable[[np.ndarray, np.ndarray], np.ndarray]"
    # from statistics summed over rows (..., k) to values; from the rows' own (N, k) unless `summed`
    combine: "Callable[[np.ndarray], np.ndarray]"
    higher_is_better: bool = True  # direction of the score
    scale: float = 100  # factor for tables, which show points
    summed: bool = True  # whether `combine` takes sums
    # from labels and predicted labels to the value, where that is more exact than sums
    direct: "Callable[[np.ndarray, np.ndarray], float] | None" = None
    # from weights (S, N) and statistics (N, k) to values (S,): a faster way without sums
    weigh: "Callable[[np.ndarray, np.ndarray], np.ndarray] | None" = None

    def value(self, labels: "np.ndarray", predicted: "np.ndarray") -> float:
        """The score of labels (N,) and predicted labels (N,); 0 if undefined."""
        if self.direct is not None:
            return self.direct(labels, predicted)
        statistics = self.per_row(labels, predicted)
        return float(self.combine(statistics.sum(axis=0) if self.summed else statistics))

    def resampled(self, weights: "np.ndarray", statistics: "np.ndarray") -> "np.ndarray":
        """The scores (S,) of resamples; `weights` (S, N) count how often each row was drawn."""
        if self.summed:
            return self.combine(weights @ statistics)
        if self.weigh is not None:
            return self.weigh(weights, statistics)
        import numpy as np

        return np.array([self.combine(np.repeat(statistics, drawn.astype(int), axis=0)) for drawn in weights])

    def better(self, value: float, other: float) -> bool:
        """Whether `value` beats `other`."""
        return value > other if self.higher_is_better else value < other

    def best(self, value: float, other: float | None) -> float:
        """The better value; `value` if there is no other."""
        return value if other is None or self.better(value, other) else other

    def merit(self, value: float) -> float:
        """The value, negated if lower is better."""
        return value if self.higher_is_better else -value
