"""Settings of MixKD. Light: no torch here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from distilgrid.core.loading import load
from distilgrid.methods.base import TEXTS, BaseMethod, TaughtMethod
from distilgrid.signals.base import ROWS, Signal
from distilgrid.signals.mixed.plan import MixedSignal, Mixup, check_batches
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.training.streams import Extra
    from distilgrid.training.teacher import TeacherOutputs
    from distilgrid.training.training_set import TrainingSet


class MixKD(TaughtMethod):
    """MixKD (Liang et al. 2021): the student also learns from linear interpolations of pairs of training rows."""

    losses: ClassVar[str] = "distilgrid.methods.mixkd.losses:MixKDObjective"
    modalities: ClassVar[frozenset[str] | None] = TEXTS
    needs: ClassVar[frozenset[str]] = frozenset({"row_labels"})

    objective: Literal["mixkd"] = "mixkd"
    """CE + alpha_kd * L_KD + alpha_sm * L_SM + alpha_tmkd * L_TMKD."""
    alpha_sm: float = Field(default=1.0, ge=0)
    """Weight of L_SM: cross-entropy of the mixed samples with their mixed labels. 0 in the paper's TMKD."""
    alpha_tmkd: float = Field(default=1.0, ge=0)
    """Weight of L_TMKD: the distance of student and teacher on the mixed samples."""
    alpha_kd: float = Field(default=0.0, ge=0)
    """Weight of L_KD: that distance on the original rows. Whether the paper has this term is unknown."""
    distance: Literal["mse", "kl"] = "mse"
    """`mse`: mean squared error between logits, as in the paper and always for numbers; `kl`: T^2 * KL."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of the KL form."""
    mixup: Mixup = Field(default_factory=Mixup)
    """How samples are mixed."""

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`tmkd` and `sm-tmkd`; `tmkd` with back-translation is the paper's TMKD+BT."""
        return {"tmkd": cls(alpha_sm=0.0), "sm-tmkd": cls()}

    @property
    def mixing(self) -> Mixup | None:
        """Mixing as set, if any term is on mixed samples."""
        return self.mixup if self.alpha_sm > 0 or self.alpha_tmkd > 0 else None

    def signals(self) -> tuple[Signal, ...]:
        """Teacher outputs that the terms with a weight need."""
        wanted: dict[Signal, float] = {ROWS["logits"]: self.alpha_kd, MixedSignal(self.mixup): self.alpha_tmkd}
        return tuple(signal for signal, weight in wanted.items() if weight > 0)

    def check(self, training: Training) -> None:
        """Refuse a token budget."""
        check_batches(training)

    def extras(
        self, rows: "TrainingSet", training: Training, outputs: "Mapping[str, TeacherOutputs]"
    ) -> "Sequence[Extra]":
        """The stream of mixed samples, if any term is on them."""
        if self.mixing is None:
            return ()
        mixing: Extra = load("distilgrid.methods.mixkd.losses:mixing")(self, rows, training, outputs)
        return [mixing]
