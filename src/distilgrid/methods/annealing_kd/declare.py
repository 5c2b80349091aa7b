"""Annealing-KD: what a user sets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from distilgrid.core.loading import load
from distilgrid.methods.annealing import check_annealing
from distilgrid.methods.base import BaseMethod, TaughtMethod, over_default
from distilgrid.signals.base import Signal
from distilgrid.signals.rows.plan import RowSignal
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.settings import StageOverrides, Training

if TYPE_CHECKING:
    from distilgrid.training.schedule import Phase


class AnnealingKD(TaughtMethod):
    """Annealing-KD (Jafari et al. 2021): the teacher's logits from soft to sharp, then the hard labels alone."""

    objective: Literal["annealing_kd"] = "annealing_kd"
    """Stage I: MSE with the annealed logits of the teacher; stage II, from stage I's best weights: hard labels."""
    tau_max: int = Field(default=7, ge=1)
    """Temperatures of stage I: T falls from tau_max to 1, and the teacher's logits grow from 1/tau_max to all of them.
    """
    distance: Literal["mse", "kl"] = "mse"
    """Of stage I: `mse`, as in the paper, or `kl`: the KL divergence from softmax of the annealed logits."""
    stage1: StageOverrides = Field(default={"epochs": 14})
    """Training settings of stage I. Its epochs are shared among the temperatures as evenly as they can be."""
    stage2: StageOverrides = Field(default={"epochs": 4})
    """Training settings of stage II. Its optimiser and learning rate start anew."""

    _over_default = field_validator("stage1", "stage2", mode="before")(classmethod(over_default))

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`annealing-kd`."""
        return {"annealing-kd": cls()}

    @property
    def stages(self) -> tuple[Mapping[str, Any], ...]:
        """Both."""
        return (self.stage1, self.stage2)

    def signals(self) -> tuple[Signal, ...]:
        """Logits."""
        return (RowSignal("logits"),)

    def staged(self, training: Training) -> tuple[Training, Training]:
        """The training settings of both stages.

        Raises:
            UserError: when stage I has fewer epochs than temperatures.
        """
        first, second = (training.under(stage) for stage in self.stages)
        check_annealing(first.epochs, self.tau_max, where="annealing_kd, stage1")
        return first, second

    def check(self, training: Training) -> None:
        """Refuse fewer epochs than temperatures."""
        self.staged(training)

    def taught(self, training: Training) -> Training:
        """Stage I."""
        return self.staged(training)[0]

    def phases(self, training: Training, *, kind: TaskKind) -> "list[Phase]":
        """Stage I and stage II."""
        phases: list[Phase] = load("distilgrid.methods.annealing_kd.losses:annealing_phases")(self, training, kind=kind)
        return phases

    def sections(self) -> tuple[str, ...]:
        """The dev scores above the schedule."""
        return ("distilgrid.methods.annealing_kd.report:SECTION",)
