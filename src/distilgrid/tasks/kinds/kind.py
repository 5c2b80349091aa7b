"""The protocol of a task kind: what rows are, and everything that depends on that. Light: no torch, no pandas.

A kind declares its name, metrics and words in `declare.py`; the parts that need torch or pandas are loaded on use, by
the strings of `TaskKind.parts`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

from distilgrid.core.loading import load

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Form = Literal["kl", "mse"]


class Losses(Protocol):
    """What a model is trained to minimise."""

    def hard(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """The loss between a batch's outputs and its labels: (B,) as `batch` makes them, or mixed ones."""
        ...

    def soft(self, student: "Tensor", teacher: "Tensor", *, form: Form = "kl", temperature: float = 1.0) -> "Tensor":
        """The loss between a student's and a teacher's outputs: `kl` at a temperature, or the mean squared error."""
        ...

    def mixable(self, labels: "Tensor", *, outputs: int) -> "Tensor":
        """The labels as numbers that can be interpolated; `outputs` is the width of a model's outputs."""
        ...


@dataclass(frozen=True)
class Metric:
    """A score of predicted labels.

    A bootstrap scores many resamples of the same rows: it needs each row's statistics and their sums, not the rows.

    Attributes:
        name: in parameter files and tables.
        higher_is_better: whether a larger value is a better one.
        scale: factor for tables, which show points.
        per_row: from labels (N,) and predicted labels (N,) to statistics (N, k).
        combine: from statistics summed over rows (..., k) to values; from those of the rows (N, k) where `summed` is
            false.
        summed: whether `combine` takes sums.
        direct: from labels and predicted labels to the value, where that is more exact than sums.
        weigh: from weights (S, N) and statistics (N, k) to values (S,): a faster way where there are no sums.
    """

    name: str
    higher_is_better: bool
    scale: float
    per_row: "Callable[[np.ndarray, np.ndarray], np.ndarray]"
    combine: "Callable[[np.ndarray], np.ndarray]"
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


@dataclass(frozen=True)
class Words:
    """Nouns for reports and messages.

    Attributes:
        row, rows: what one row is, and several.
        label: what a row is labelled with.
    """

    row: str
    rows: str
    label: str


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """One kind of task. A kind whose checks differ is a subclass.

    Attributes:
        name: the value of `kind` in parameter files.
        modality: what models read.
        metrics: the scores that a task of this kind may report, by name.
        tempered: whether a softmax temperature changes anything.
        words: nouns for reports.
        parts: "module:name" of each part that is loaded on use.
    """

    name: str
    modality: Literal["text", "image"]
    metrics: Mapping[str, Metric]
    tempered: bool
    words: Words
    parts: Mapping[str, str]

    def losses(self) -> Losses:
        """The losses."""
        return cast(Losses, load(self.parts["losses"]))
