"""The table of estimators: targets, versions and recipes. Light: no torch here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.models.facts import BERT_LAYOUT
from distilgrid.search.estimators.settings import EstimatorSettings
from distilgrid.search.space import AnySpace, Space
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.search.estimators.lessons import Estimator, Lessons

ESTIMATORS = {
    "mini_kd": "distilgrid.search.estimators.mini_kd:open_mini_kd",
    "supernet": "distilgrid.search.estimators.supernet_estimator:open_slices",
}
VERSIONS = {"mini_kd": 1, "supernet": 2}  # raised when an estimate may change
UNUSED = {"training", "epochs", "learning_rate", "batch_size"}  # fields that an estimator's training settings repeat
SEED = 0
"""Seed of weights, rows and dropout: the same for all candidates, so that comparisons are fair."""


def open_estimator(lessons: "Lessons[Any]", space: AnySpace) -> "Estimator":
    """Open the estimator of the lessons' settings, imported on use because it needs torch.

    Raises UserError when an input is missing, or the space does not suit the estimator.
    """
    estimator: Estimator = load(ESTIMATORS[lessons.settings.kind])(lessons, space)
    return estimator


def homogeneous(space: AnySpace) -> Space:
    """A space whose architectures have equal layers, as slices of a supernet have.

    Raises UserError for another space.
    """
    if not isinstance(space, Space):
        raise UserError("a supernet's slices have layers that are all alike; take a homogeneous space, or mini_kd")
    return space


def check_layout(kind: str) -> None:
    """Refuse an origin of a model type whose weights a supernet cannot put in order. Raises UserError naming it."""
    if kind not in BERT_LAYOUT:
        raise UserError(f"a supernet needs a BERT as its origin, and this is a '{kind}'")


def estimate_recipe(
    *, settings: EstimatorSettings, training: Training, origin: str, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values that decide an estimate, apart from the architecture; `origin` is the revision of its model."""
    estimator = {
        **settings.model_dump(exclude=UNUSED),
        "training": settings.trained(training).model_dump(),
        "version": VERSIONS[settings.kind],
    }
    return {"estimator": estimator, "origin": origin, "inputs": dict(inputs)}
