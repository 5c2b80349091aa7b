"""The table of estimators, with their declared versions, and how a stage opens one. Light: no torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distilgrid.core.errors import UserError
from distilgrid.search.architecture import Architecture
from distilgrid.search.estimators.settings import EstimatorSettings, MiniKDSettings
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.search.estimators.lessons import Lessons
    from distilgrid.search.space import Space
    from distilgrid.training.placement import Placement

VERSIONS = {"mini_kd": 1, "supernet": 1}
"""Bumped when an estimate may change."""
UNUSED = {"training", "epochs", "learning_rate", "batch_size"}  # fields that an estimator's training settings repeat
SEED = 0
"""Of candidates' weights, rows and dropout: the same for all candidates, so that they are compared alike."""


@dataclass(frozen=True)
class Estimate:
    """How good a candidate is."""

    score: float  # the task's main metric on `dev`, less than zero where lower is better: more is better
    loss: float  # distance from the teacher, as the estimator measures it; lower is better
    seconds: float  # what the estimate took


class Estimator(Protocol):
    """Estimates candidates, the same ones always alike but for the seconds."""

    def estimate(self, architecture: Architecture) -> Estimate:
        """The quality of one architecture. Raises UserError when it cannot be built or trained."""


@dataclass(frozen=True)
class EstimatorSources:
    """What an estimator is made from."""

    data: Path  # prepared data
    origin: Path  # the pretrained model's folder
    teacher_outputs: Sequence[Path] = ()  # recorded on the training rows
    # the fine-tuned teacher whose weights are inherited; None inherits the pretrained model's
    teacher: Path | None = None
    supernet: Path | None = None  # trained before
    subset_seed: int = 0  # of the rows that candidates learn from
    device: str = "auto"  # where candidates are trained


def open_lessons(settings: EstimatorSettings, training: Training, sources: EstimatorSources) -> "Lessons":
    """What candidates learn from and are judged by."""
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
    """The estimator of some settings.

    Args:
        settings: the estimator's.
        space: that candidates come from.
        training: the common training settings, which the estimator's own go over.
        sources: what it is made from.

    Raises:
        UserError: when an input is missing, or the space does not suit it.
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
    """Where and in which precision candidates are trained."""
    from distilgrid.training.device import choose_device
    from distilgrid.training.placement import Placement, choose_precision

    chosen = choose_device(device)
    return Placement(chosen, choose_precision(training.precision, chosen))


def homogeneous(space: "Space | LayeredSpace") -> "Space":
    """A space whose architectures have layers that are all alike, as slices of a supernet have.

    Raises UserError for another one.
    """
    if isinstance(space, LayeredSpace):
        raise UserError("a supernet's slices have layers that are all alike; take a homogeneous space, or mini_kd")
    return space


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
