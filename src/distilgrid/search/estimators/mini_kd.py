"""Mini-KD: distils each candidate for a few epochs on a share of the rows (KD-NAS, both versions)."""

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.models.io import CLASSIFIER
from distilgrid.models.settings import Student
from distilgrid.models.student import build_student
from distilgrid.search.architecture import Architecture, student_shape
from distilgrid.search.estimators.lessons import Lessons
from distilgrid.search.estimators.registry import SEED
from distilgrid.search.estimators.settings import MiniKDSettings
from distilgrid.search.loop import Estimate
from distilgrid.search.space import AnySpace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TAUGHT = ("hidden", "soft")  # terms that compare student and teacher


def candidate_student(architecture: Architecture, settings: MiniKDSettings) -> Student:
    """Settings of a student with this architecture, which inherits weights as the estimator's settings say.

    Raises UserError when the heads do not divide a width.
    """
    shape = student_shape(architecture)
    if settings.inherit == "none":
        return Student(architecture=shape, init="scratch")
    how: dict[str, Any] = settings.model_dump(include={"init", "inherit", "inherit_layers"})
    return Student(architecture=shape, **how)


@dataclass(frozen=True)
class MiniKD:
    """Distils each candidate through the training loop, in this process."""

    lessons: Lessons[MiniKDSettings]
    seed: int = SEED  # seed of all candidates' weights, shuffling and dropout

    def estimate(self, architecture: Architecture) -> Estimate:
        """Best score on `dev`, and the teacher's term of the losses, weighted as in training, in the last epoch.

        With `hidden_kd` and `task: null` the head stays untrained: the loss tells the quality, the score does not.

        Raises UserError when the candidate cannot be built, diverges, or is deeper than a teacher that it imitates.
        """
        start = time.perf_counter()
        model = self._candidate(architecture)
        outcome = self.lessons.distil(model, seed=derive_seed(self.seed, "training"))
        loss = next(outcome.last_losses[name] for name in TAUGHT if name in outcome.last_losses)
        del model
        gc.collect()  # modules and their training set-up refer to each other
        return Estimate(self.lessons.merit(outcome.best_dev), loss, time.perf_counter() - start)

    def _candidate(self, architecture: Architecture) -> "PreTrainedModel":
        lessons, settings = self.lessons, self.lessons.settings
        return build_student(
            candidate_student(architecture, settings),
            origin=lessons.origin,
            teacher=lessons.sources.teacher,
            outputs=lessons.dataset.outputs,
            auto=CLASSIFIER,
            seed=derive_seed(self.seed, "init"),
        )


def open_mini_kd(lessons: Lessons[MiniKDSettings], _: AnySpace) -> MiniKD:
    """The estimator of any space. Raises UserError without the teacher whose weights candidates inherit."""
    if lessons.settings.inherits_teacher and lessons.sources.teacher is None:
        raise UserError("the estimator's candidates inherit the teacher's weights: give --teacher-dir")
    return MiniKD(lessons)
