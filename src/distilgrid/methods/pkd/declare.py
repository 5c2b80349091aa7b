"""Patient knowledge distillation: what a user sets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from distilgrid.methods.base import TEXTS, BaseMethod, TaughtMethod
from distilgrid.models.source import is_new
from distilgrid.signals.base import Signal
from distilgrid.signals.rows.plan import RowSignal

if TYPE_CHECKING:
    from distilgrid.models.settings import Student


class PKD(TaughtMethod):
    """Patient knowledge distillation (Sun et al. 2019): KD plus the teacher's intermediate [CLS] states."""

    losses: ClassVar[str] = "distilgrid.methods.pkd.losses:PKDObjective"

    version: ClassVar[int] = 2
    kinds: ClassVar[frozenset[str] | None] = TEXTS

    objective: Literal["pkd"] = "pkd"
    """(1 - alpha) * CE + alpha * T^2 * KL + beta * patience loss on normalised [CLS] states."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the soft-label term, as in KD."""
    temperature: float = Field(default=10.0, gt=0)
    """Softmax temperature of the soft-label term."""
    beta: float = Field(default=500.0, ge=0)
    """Weight of the patience loss. The public code uses 500 with the mean over layers and hidden units."""
    layers: Literal["skip", "last"] = "skip"
    """Which teacher layers the student's intermediate layers imitate: every k-th (`skip`) or the last ones (`last`)."""

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`pkd`."""
        return {"pkd": cls()}

    def signals(self) -> tuple[Signal, ...]:
        """Logits and [CLS] states in one."""
        return (RowSignal("cls-states"),)

    def suits(self, students: "Sequence[Student]") -> bool:
        """Students whose states are as wide as the teacher's: those that start from it and set no width."""
        shapes = [student.architecture for student in students if student.architecture]
        sources = [student.source for student in students if student.source and not is_new(student.source)]
        return not (any(shape.sets_width for shape in shapes) or sources or any(student.found for student in students))
