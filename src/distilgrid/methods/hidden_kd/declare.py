"""Settings of hidden-state distillation. Light: no torch here."""

from typing import ClassVar, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.methods.base import TEXTS
from distilgrid.methods.kd.declare import SoftLabels
from distilgrid.models.shapes import Sizes
from distilgrid.signals.base import RowName
from distilgrid.training.settings import StageOverrides


class HiddenKD(SoftLabels):
    """Hidden-state distillation (Trivedi et al. 2023, KD-NAS): the teacher's states first, then kd's losses."""

    phased: ClassVar[str] = "distilgrid.methods.hidden_kd.losses:hidden_phases"
    stages: ClassVar[tuple[str, ...]] = ("hidden", "task")
    modalities: ClassVar[frozenset[str] | None] = TEXTS
    row_outputs: ClassVar[RowName] = "hidden-states"
    without_preset: ClassVar[tuple[str, str]] = ("its phases are to be chosen", "{objective: hidden_kd}")

    objective: Literal["hidden_kd"] = "hidden_kd"
    """Phase `hidden`: MSE of projected token states with the teacher's; phase `task`: kd's losses, as set above."""
    mapping: Literal["uniform+last", "uniform", "last"] = "uniform+last"
    """Teacher layers that a student layer imitates: every k-th (`uniform`), the last ones (`last`), or one of each, put
    end to end."""
    projection: Literal["shared", "layer"] = "shared"
    """The linear map from the student's width to the teacher's: one for all layers, or one for each."""
    hidden: StageOverrides = Field(default={"epochs": 5})
    """Training settings of the phase on hidden states, whose last weights are kept. The paper's epochs are unknown."""
    task: StageOverrides | None = Field(default={"epochs": 3})
    """Training settings of the phase on logits and labels; null leaves it out, and the head untrained."""

    def check_sizes(self, student: Sizes, teacher: Sizes) -> None:
        """Refuse a student that is deeper than its teacher."""
        if student.layers > teacher.layers:
            deeper = f"a student of {student.layers} layers cannot imitate a teacher of {teacher.layers}"
            raise UserError(f"hidden_kd: {deeper}; take a shallower student")
