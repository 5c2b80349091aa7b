"""What recipes of searches, their candidates and supernets have in common. Light: no torch here."""

from collections.abc import Mapping
from typing import Any

from distilgrid.search.estimators.registry import VERSIONS
from distilgrid.search.estimators.settings import EstimatorSettings
from distilgrid.training.settings import Training

UNUSED = {"training", "epochs", "learning_rate", "batch_size"}
"""Fields of an estimator that its training settings hold already."""


def estimate_recipe(
    *, settings: EstimatorSettings, training: Training, origin: str, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """What decides the estimate of an architecture, apart from the architecture.

    Args:
        settings: the estimator's.
        training: the common training settings.
        origin: the revision of the model to inherit from.
        inputs: the keys of what is learned from.
    """
    estimator = {
        **settings.model_dump(exclude=UNUSED),
        "training": settings.trained(training).model_dump(),
        "version": VERSIONS[settings.kind],
    }
    return {"estimator": estimator, "origin": origin, "inputs": dict(inputs)}
