"""Settings of Continuation-KD. Light: no torch here."""

from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from distilgrid.core.errors import UserError
from distilgrid.methods.annealing_kd.declare import check_annealing
from distilgrid.methods.base import TaughtMethod
from distilgrid.training.settings import Training


class ContinuationKD(TaughtMethod):
    """Continuation-KD (Jafari et al. 2022): annealed logits with a margin, while the hard labels take over."""

    version: ClassVar[int] = 2
    phased: ClassVar[str] = "distilgrid.methods.continuation_kd.losses:continuation_phases"
    preset: ClassVar[str] = "continuation-kd"
    sections: ClassVar[tuple[str, ...]] = ("distilgrid.methods.annealing_kd.report:SECTION",)

    objective: Literal["continuation_kd"] = "continuation_kd"
    """psi * CE + (1 - psi) * max(0, MSE(student, phi * teacher) - margin * phi)."""
    tau_max: int = Field(default=10, ge=1)
    """Temperatures: T falls from tau_max to 1 as in Annealing-KD."""
    margin: float = Field(default=0.1, ge=0)
    """m: differences from the teacher that do not count. The paper's value is unknown; 0 is Annealing-KD's."""
    psi: Literal["linear", "step"] = "linear"
    """The weight of the hard labels: from 0 to 1 over all epochs, or 0 while T falls and 1 afterwards."""
    annealing: float = Field(default=1.0, gt=0, le=1)
    """Share of the epochs over which T falls, to the nearest epoch, halves up; T is 1 afterwards."""

    @model_validator(mode="after")
    def _labels_count(self) -> "ContinuationKD":
        if self.psi == "step" and self.annealing == 1:
            raise ValueError("psi: step leaves no epoch for the hard labels; set annealing below 1")
        return self

    def falling_epochs(self, training: Training) -> int:
        """Epochs over which T falls, to the nearest one; a half counts as one.

        Raises UserError when these are fewer than the temperatures, or leave none for the labels of `psi: step`.
        """
        # In decimals, as the share is written: 0.29 of 50 epochs is a half, though not in binary.
        exact = Decimal(repr(self.annealing)) * training.epochs
        falling = max(1, int(exact.to_integral_value(ROUND_HALF_UP)))
        check_annealing(falling, self.tau_max, where="continuation_kd")
        if self.psi == "step" and falling >= training.epochs:
            share = f"annealing {self.annealing:g} of {training.epochs} epoch(s)"
            raise UserError(
                f"continuation_kd: psi: step leaves no epoch for the hard labels ({share}); lower annealing or raise "
                "epochs"
            )
        return falling

    def check(self, training: Training) -> None:
        """Refuse fewer epochs than temperatures, or none for the labels."""
        self.falling_epochs(training)
