"""Settings of Annealing-KD, and its temperatures. Light: no torch here."""

from typing import ClassVar, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.methods.base import TaughtMethod
from distilgrid.training.settings import StageOverrides, Training


class AnnealingKD(TaughtMethod):
    """Annealing-KD (Jafari et al. 2021): the teacher's logits from soft to sharp, then the hard labels alone."""

    phased: ClassVar[str] = "distilgrid.methods.annealing_kd.losses:annealing_phases"
    stages: ClassVar[tuple[str, ...]] = ("stage1", "stage2")
    preset: ClassVar[str] = "annealing-kd"
    sections: ClassVar[tuple[str, ...]] = ("distilgrid.methods.annealing_kd.report:SECTION",)

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

    def staged(self, training: Training) -> list[Training]:
        """Training settings of both stages. Raises UserError when stage I has fewer epochs than temperatures."""
        found = super().staged(training)
        check_annealing(found[0].epochs, self.tau_max, where="annealing_kd, stage1")
        return found

    def check(self, training: Training) -> None:
        """Refuse fewer epochs than temperatures."""
        self.staged(training)

    def taught(self, training: Training) -> Training:
        """Training settings of stage I."""
        return self.staged(training)[0]


def annealed(moment: float, *, epochs: int, tau_max: int) -> dict[str, float]:
    """T and Phi(T) at a moment, in epochs."""
    now = temperature(moment, epochs=epochs, tau_max=tau_max)
    return {"temperature": now, "phi": sharpness(now, tau_max=tau_max)}


def temperature(moment: float, *, epochs: int, tau_max: int) -> int:
    """T at a moment, in epochs: from tau_max down to 1, each for the same number of epochs, or one more."""
    return max(1, tau_max - min(int(moment), epochs) * tau_max // epochs)


def sharpness(temperature: int, *, tau_max: int) -> float:
    """Phi(T) = 1 - (T - 1) / tau_max: the share of the teacher's logits that the student imitates."""
    return 1 - (temperature - 1) / tau_max


def check_annealing(epochs: int, tau_max: int, *, where: str) -> None:
    """Refuse more temperatures than epochs. Raises UserError naming the setting."""
    if tau_max > epochs:
        raise UserError(f"{where}: tau_max {tau_max} is larger than its {epochs} epoch(s); lower it or raise epochs")
