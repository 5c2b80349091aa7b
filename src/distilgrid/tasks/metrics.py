"""The scores of a model's outputs on some rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distilgrid.tasks.kind import TaskKind

if TYPE_CHECKING:
    import numpy as np


def score(kind: TaskKind, metrics: Sequence[str], *, labels: "np.ndarray", outputs: "np.ndarray") -> dict[str, float]:
    """Each metric's value.

    Args:
        kind: of the task.
        metrics: their names.
        labels: (N,) as rows have them.
        outputs: (N, ...) of a model.
    """
    predicted = kind.predict().decode(outputs)
    return {name: kind.metrics[name].value(labels, predicted) for name in metrics}
