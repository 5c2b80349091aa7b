"""Settings of decoupled knowledge distillation. Light: no torch here, because plans read it."""

from typing import ClassVar, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.methods.base import TaughtMethod
from distilgrid.training.settings import Training


class DKD(TaughtMethod):
    """Decoupled knowledge distillation (Zhao et al. 2022): KD's loss in two parts with a weight each."""

    version: ClassVar[int] = 1
    phased: ClassVar[str] = "distilgrid_dkd.losses:dkd_phases"
    preset: ClassVar[str] = "dkd"
    needs: ClassVar[frozenset[str]] = frozenset({"tempered"})  # numbers have no classes to tell apart

    objective: Literal["dkd"] = "dkd"
    """CE + alpha * T^2 * TCKD + beta * T^2 * NCKD."""
    alpha: float = Field(default=1.0, ge=0)
    """Weight of TCKD: the KL divergence of the target class against all others."""
    beta: float = Field(default=8.0, ge=0)
    """Weight of NCKD: the KL divergence among the classes that are not the target."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of teacher and student."""
    warmup: int = Field(default=0, ge=0)
    """Epochs in which the weight of both parts grows from 0 to 1. The authors' code takes 20 on CIFAR-100."""

    def check(self, training: Training) -> None:
        """Refuse a warm-up that never ends."""
        if self.warmup > training.epochs:
            raise UserError(f"dkd: warmup {self.warmup} is longer than {training.epochs} epoch(s); lower it")
