"""Models that learned nothing, which nobody chooses: constant ones, and those no better on dev than a constant."""

from collections.abc import Iterator, Mapping
from typing import Any

from distilgrid.core.planned import Artefact, listed
from distilgrid.reporting.collect import Collected
from distilgrid.reporting.lines import dev_score
from distilgrid.reporting.scoring import scoring
from distilgrid.tasks.kind import find_metric

TRIED = "tried"
"""The input of a tuned model that taught it nothing: the cells among which tuning chose."""


def constant_models(collected: Collected) -> frozenset[str]:
    """The folders of the models that answer the same for every row: teachers, assistants and students."""
    trained = [(model.artefact, model.metrics) for model in collected.models]
    helping = [(helper.artefact, helper.values) for helper in collected.helpers]
    return frozenset(artefact.folder for artefact, metrics in [*trained, *helping] if metrics.get("constant"))


def taught_by(model: Artefact) -> Iterator[Artefact]:
    """Everything that a model learns from: its teachers and assistants, what they left behind, and their own."""
    for name, value in model.inputs.items():
        if name != TRIED:
            for source in listed(value):
                yield source
                yield from taught_by(source)


def chance(dataset: Mapping[str, Any], metric: str) -> float | None:
    """The best score on dev of the same answer for every row, from `dataset.json`.

    None where labels are no set, and where dev holds a single one, so that its scores tell no models apart.
    """
    import numpy as np

    counts = list(dataset["splits"]["dev"]["label_counts"].values())
    if np.count_nonzero(counts) < 2:
        return None
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
