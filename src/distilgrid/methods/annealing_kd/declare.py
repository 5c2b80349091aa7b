"""Settings of Annealing-KD. Light: no torch here."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from distilgrid.methods.annealing import check_annealing
from distilgrid.methods.base import TaughtMethod, over_default
from distilgrid.training.settings import StageOverrides, Training


class AnnealingKD(TaughtMethod):
    """Annealing-KD (Jafari et al. 2021): the teacher's logits from soft to sharp, then the hard labels alone."""

    phased: ClassVar[str] = "distilgrid.methods.annealing_kd.losses:annealing_phases"
    preset: ClassVar[str] = "annealing-kd"

    objective: Literal["annealing_kd"] = "annealing_kd"
    """Stage I: MSE with the annealed logits of the teacher; stage II, from stage I's best weights: hard labels."""
    tau_max: int = Field(default=7, ge=1)
    """Temperatures of stage I: T falls from tau_max to 1, and the share of the teacher's logits grows from 1/tau_max
    to 1."""
    distance: Literal["mse", "kl"] = "mse"
    """Distance of stage I: `mse`, as in the paper, or `kl`, the KL divergence from softmax of the annealed logits."""
    stage1: StageOverrides = Field(default={"epochs": 14})
    """Training settings of stage I. The temperatures share its epochs as evenly as possible."""
    stage2: StageOverrides = Field(default={"epochs": 4})
    """Training settings of stage II. Its optimiser and learning rate start anew."""

    _over_default = field_validator("stage1", "stage2", mode="before")(classmethod(over_default))

    @property
    def stages(self) -> tuple[Mapping[str, Any], ...]:
        """Overrides of stage I and stage II."""
        return (self.stage1, self.stage2)

    def staged(self, training: Training) -> tuple[Training, Training]:
        """Training settings of both stages. Raises UserError when stage I has fewer epochs than temperatures."""
        first, second = (training.under(stage) for stage in self.stages)
        check_annealing(first.epochs, self.tau_max, where="annealing_kd, stage1")
        return first, second

    def check(self, training: Training) -> None:
        """Refuse fewer epochs than temperatures."""
        self.staged(training)

    def taught(self, training: Training) -> Training:
        """Training settings of stage I."""
        return self.staged(training)[0]

    def sections(self) -> tuple[str, ...]:
        """The dev scores above the schedule."""
        return ("distilgrid.methods.annealing_kd.report:SECTION",)
