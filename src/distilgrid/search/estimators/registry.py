"""The table of estimators: versions, recipes, and how a stage opens one. Light: no torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.search.estimators.base import Estimator
from distilgrid.search.estimators.settings import EstimatorSettings, MiniKDSettings
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.search.estimators.lessons import Lessons
    from distilgrid.search.space import Space
    from distilgrid.training.placement import Placement

VERSIONS = {"mini_kd": 1, "supernet": 1}  # raised when an estimate may change
UNUSED = {"training", "epochs", "learning_rate", "batch_size"}  # fields that an estimator's training settings repeat
SEED = 0
"""Seed of weights, rows and dropout: the same for all candidates, so that comparisons are fair."""


@dataclass(frozen=True)
class EstimatorSources:
    """Artefacts and settings that an estimator is made from."""

    data: Path
    origin: Path  # folder of the pretrained model
    teacher_outputs: Sequence[Path] = ()  # recordings on the training rows
    # fine-tuned teacher whose weights candidates inherit; None inherits those of the pretrained model
    teacher: Path | None = None
    supernet: Path | None = None
    subset_seed: int = 0  # seed of the choice of training rows
    device: str = "auto"


def open_lessons(settings: EstimatorSettings, training: Training, sources: EstimatorSources) -> "Lessons":
    """Rows and teacher outputs of candidates."""
    from distilgrid.methods.teaching import Sources
    from distilgrid.search.estimators.lessons import Lessons

    return Lessons(
        sources=Sources(
            sources.data,
            teachers=tuple(each for each in (sources.teacher,) if each),
            teacher_outputs=tuple(sources.teacher_outputs),
        ),
        origin=sources.origin,
        method=settings.method,
        training=settings.trained(training),
        share=settings.share,
        subset_seed=sources.subset_seed,
    )


def open_estimator(
    settings: EstimatorSettings, *, space: "Space | LayeredSpace", training: Training, sources: EstimatorSources
) -> Estimator:
    """Open the estimator of some settings, which override `training`.

    Raises UserError when an input is missing, or the space does not suit the estimator.
    """
    lessons = open_lessons(settings, training, sources)
    placement = placed(lessons.training, sources.device)
    if isinstance(settings, MiniKDSettings):
        if settings.init == "finetuned" and sources.teacher is None:
            raise UserError("the estimator's candidates inherit the teacher's weights: give --teacher-dir")
        from distilgrid.search.estimators.mini_kd import MiniKD

        return MiniKD(settings, lessons, seed=SEED, placement=placement)
    from distilgrid.search.estimators.supernet_estimator import SupernetEstimator, open_supernet

    if sources.supernet is None:
        raise UserError("the estimator is a supernet: give --supernet, a folder made by `distilgrid supernet`")
    supernet = open_supernet(sources.supernet, homogeneous(space), layers=settings.layers)
    return SupernetEstimator(supernet, settings, lessons, seed=SEED, placement=placement)


def placed(training: Training, device: str) -> "Placement":
    """Device and precision of candidates' training."""
    from distilgrid.training.placement import Placement, choose_device, choose_precision

    chosen = choose_device(device)
    return Placement(chosen, choose_precision(training.precision, chosen))


def homogeneous(space: "Space | LayeredSpace") -> "Space":
    """A space whose architectures have equal layers, as slices of a supernet have.

    Raises UserError for another space.
    """
    if isinstance(space, LayeredSpace):
        raise UserError("a supernet's slices have layers that are all alike; take a homogeneous space, or mini_kd")
    return space


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
