"""Models that learned nothing, which nobody chooses: constant ones, and those no better on dev than a constant."""

from collections.abc import Mapping
from typing import Any

from distilgrid.reporting.lines import dev_score
from distilgrid.reporting.scoring import scoring
from distilgrid.tasks.kind import find_metric


def chance(dataset: Mapping[str, Any], metric: str) -> float | None:
    """The best score on dev of the same answer for every row; None where labels are no set. Reads `dataset.json`."""
    import numpy as np

    counts = list(dataset["splits"]["dev"]["label_counts"].values())
    labels = np.repeat(np.arange(len(counts)), counts)
    constants = (np.full(len(labels), answer) for answer in range(len(counts)))
    scores = (find_metric(metric).value(labels, constant) for constant in constants)
    return max(scores, key=scoring(metric).merit, default=None)


def learned_nothing(metrics: Mapping[str, Any], *, chance: float | None) -> str:
    """The reason why a model learned nothing, from its `metrics.json`; empty where it did."""
    if metrics.get("constant"):
        return "it answers the same for every row: it learned nothing"
    merit = scoring(metrics["score_name"]).merit
    if chance is not None and merit(dev_score(metrics)) <= merit(chance):
        return "on dev it is no better than the same answer for every row: it learned nothing"
    return ""
