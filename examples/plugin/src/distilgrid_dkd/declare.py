"""Decoupled knowledge distillation: what a user sets. Light: no torch here, because plans read it."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod, TaughtMethod
from distilgrid.signals.base import Signal
from distilgrid.signals.rows.plan import RowSignal
from distilgrid.tasks.kinds.kind import TaskKind
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.training.schedule import Phase


class DKD(TaughtMethod):
    """Decoupled knowledge distillation (Zhao et al. 2022): KD's loss in two parts with a weight each."""

    version: ClassVar[int] = 1
    kinds: ClassVar[frozenset[str] | None] = frozenset({"label", "image"})
    """Numbers have no classes to tell apart."""

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

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`dkd`, with the paper's weights, which a grid can name without defining it."""
        return {"dkd": cls()}

    def signals(self) -> tuple[Signal, ...]:
        """The teacher's logits on the training rows."""
        return (RowSignal("logits"),)

    def check(self, training: Training) -> None:
        """Refuse a warm-up that never ends."""
        if self.warmup > training.epochs:
            raise UserError(f"dkd: warmup {self.warmup} is longer than {training.epochs} epoch(s); lower it")

    def phases(self, training: Training, *, kind: TaskKind) -> "list[Phase]":
        """One phase, whose losses change in the warm-up."""
        from distilgrid_dkd.losses import dkd_phases

        return dkd_phases(self, training)
