"""What a user can set for each distillation method. Light: no torch here."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from distilgrid.distillation.mixing_settings import Mixup
from distilgrid.schema import Settings
from distilgrid.training.settings import Training, check_training_overrides

Recording = Literal["logits", "cls-states", "mixed-logits"]
"""What a teacher leaves behind for its students: outputs on the training rows, or on mixed samples of them."""

TrainingOverrides = Annotated[
    dict[str, Any],
    AfterValidator(check_training_overrides),
    WithJsonSchema(Training.model_json_schema()),
]


class BaseMethod(Settings):
    """What all methods have in common."""

    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """The teacher outputs that the losses need."""
        return ()

    @property
    def runs_teacher(self) -> bool:
        """Whether a teacher runs within the student's job."""
        return False


class TaughtMethod(BaseMethod):
    """What all methods with a teacher have in common."""

    teacher: Literal["recorded", "live"] = "recorded"
    """`recorded`: the teacher runs once, for all students of the grid; `live`: it runs within each student's job."""

    @property
    def runs_teacher(self) -> bool:
        """As set, if the losses need a teacher at all."""
        return self.teacher == "live" and bool(self.recordings)


class Finetune(BaseMethod):
    """Plain fine-tuning on the hard labels: the baseline of every table."""

    objective: Literal["finetune"] = "finetune"
    """Hard-label training."""


class KD(TaughtMethod):
    """Knowledge distillation on logits (Hinton et al. 2015)."""

    objective: Literal["kd"] = "kd"
    """(1 - alpha) * CE + alpha * T^2 * KL, or the mean squared error between logits."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the teacher term; 1 - alpha is the weight of the hard labels."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of teacher and student in the KL form; unused by the MSE form."""
    loss: Literal["kl", "mse"] = "kl"
    """`kl`: temperature-scaled KL divergence; `mse`: mean squared error between logits, as always for a regression."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits."""
        return ("logits",)


class PKD(TaughtMethod):
    """Patient knowledge distillation (Sun et al. 2019): KD plus the teacher's intermediate [CLS] states."""

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

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits and [CLS] states in one."""
        return ("cls-states",)


class MixKD(TaughtMethod):
    """MixKD (Liang et al. 2021): the student also learns from linear interpolations of pairs of training rows."""

    objective: Literal["mixkd"] = "mixkd"
    """CE + alpha_kd * L_KD + alpha_sm * L_SM + alpha_tmkd * L_TMKD."""
    alpha_sm: float = Field(default=1.0, ge=0)
    """Weight of L_SM: cross-entropy of the mixed samples with their mixed labels. 0 in the paper's TMKD."""
    alpha_tmkd: float = Field(default=1.0, ge=0)
    """Weight of L_TMKD: the distance of student and teacher on the mixed samples."""
    alpha_kd: float = Field(default=0.0, ge=0)
    """Weight of L_KD: that distance on the original rows. Whether the paper has this term is unknown."""
    distance: Literal["mse", "kl"] = "mse"
    """`mse`: mean squared error between logits, as in the paper and always for a regression; `kl`: T^2 * KL."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of the KL form."""
    mixup: Mixup = Field(default_factory=Mixup)
    """How samples are mixed."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What the terms with a weight need."""
        wanted: dict[Recording, float] = {"logits": self.alpha_kd, "mixed-logits": self.alpha_tmkd}
        return tuple(kind for kind, weight in wanted.items() if weight > 0)

    @property
    def mixes(self) -> bool:
        """Whether any term is on mixed samples."""
        return self.alpha_sm > 0 or self.alpha_tmkd > 0


Method = Annotated[Finetune | KD | PKD | MixKD, Field(discriminator="objective")]
