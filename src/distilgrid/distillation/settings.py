"""What a user can set for each distillation method. Light: no torch here."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from distilgrid.schema import Settings
from distilgrid.training.settings import Training, check_training_overrides

TrainingOverrides = Annotated[
    dict[str, Any],
    AfterValidator(check_training_overrides),
    WithJsonSchema(Training.model_json_schema()),
]


class Finetune(Settings):
    """Plain fine-tuning on the hard labels: the baseline of every table."""

    objective: Literal["finetune"] = "finetune"
    """Hard-label training."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""


class KD(Settings):
    """Knowledge distillation on logits (Hinton et al. 2015)."""

    objective: Literal["kd"] = "kd"
    """(1 - alpha) * CE + alpha * T^2 * KL, or the mean squared error between logits."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the teacher term; 1 - alpha is the weight of the hard labels."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of teacher and student in the KL form; unused by the MSE form."""
    loss: Literal["kl", "mse"] = "kl"
    """`kl`: temperature-scaled KL divergence; `mse`: mean squared error between logits, as always for a regression."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""


class PKD(Settings):
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
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""


Method = Annotated[Finetune | KD | PKD, Field(discriminator="objective")]
