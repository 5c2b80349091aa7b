"""Settings of patient knowledge distillation. Light: no torch here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.methods.base import TEXTS, TaughtMethod
from distilgrid.models.shapes import Sizes
from distilgrid.models.source import is_new
from distilgrid.signals.base import RowName
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.models.settings import Student


class PKD(TaughtMethod):
    """Patient knowledge distillation (Sun et al. 2019): KD plus the teacher's intermediate [CLS] states."""

    version: ClassVar[int] = 3
    losses: ClassVar[str] = "distilgrid.methods.pkd.losses:PKDObjective"
    preset: ClassVar[str] = "pkd"
    modalities: ClassVar[frozenset[str] | None] = TEXTS
    needs: ClassVar[frozenset[str]] = frozenset({"row_labels"})
    row_outputs: ClassVar[RowName] = "cls-states"
    unrecorded: ClassVar[frozenset[str]] = TaughtMethod.unrecorded | {"learning_rate_factor"}

    objective: Literal["pkd"] = "pkd"
    """(1 - alpha) * CE + alpha * T^2 * KL + beta * patience loss on normalised [CLS] states."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the soft-label term, as in KD."""
    temperature: float = Field(default=10.0, gt=0)
    """Softmax temperature of the soft-label term; the public code takes 10 with the patience loss."""
    beta: float = Field(default=0.65, ge=0)
    """Weight of the patience loss, for any width. The public code has 500 and divides by the width, 768: 0.65."""
    layers: Literal["skip", "last"] = "skip"
    """Which teacher layers the student's intermediate layers imitate: every k-th (`skip`) or the last ones (`last`)."""

    learning_rate_factor: float = Field(default=0.5, gt=0)
    """Factor on the learning rate: the public code trains with the patience loss at 1e-5, and KD at 2e-5. A rate in the
    method's own `training` is taken as it is."""

    def trained(self, training: Training) -> Training:
        """Training settings with the factor on the learning rate, unless the method names a rate."""
        if "learning_rate" in self.training:
            return training
        return training.under({"learning_rate": self.learning_rate_factor * training.learning_rate})

    def check_sizes(self, student: Sizes, teacher: Sizes) -> None:
        """Refuse states of another width than the teacher's, and a student that is deeper."""
        if student.hidden != teacher.hidden or student.layers > teacher.layers:
            own, theirs = (f"{each.layers} layers and width {each.hidden}" for each in (student, teacher))
            advice = "take equal widths and a shallower student"
            raise UserError(f"pkd: a student of {own} cannot imitate a teacher of {theirs}; {advice}")

    def suits(self, students: "Sequence[Student]") -> bool:
        """Whether all students start from the teacher and set no width: their states are as wide as the teacher's."""
        shapes = [student.architecture for student in students if student.architecture]
        sources = [student.source for student in students if student.source and not is_new(student.source)]
        return not (any(shape.sets_width for shape in shapes) or sources or any(student.found for student in students))
