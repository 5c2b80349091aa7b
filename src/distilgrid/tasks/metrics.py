"""Scores of a model's outputs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distilgrid.tasks.kind import TaskKind

if TYPE_CHECKING:
    import numpy as np


def score(kind: TaskKind, metrics: Sequence[str], *, labels: "np.ndarray", outputs: "np.ndarray") -> dict[str, float]:
    """Score outputs (N, ...) against labels (N,) with the named metrics of a kind."""
    predicted = kind.predict().decode(outputs)
    return {name: kind.metrics[name].value(labels, predicted) for name in metrics}
