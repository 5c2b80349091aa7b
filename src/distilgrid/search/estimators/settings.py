"""Settings of estimators. Light: no torch here."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.training.settings import Training, TrainingOverrides


class ProxySettings(Settings):
    """Settings of the rows and the training of candidates."""

    share: float = Field(default=0.3, gt=0, le=1)
    """Share of the training rows: a seeded, stratified choice, drawn once for all candidates."""
    epochs: int = Field(default=5, ge=1)
    """Passes over these rows; a phase of `hidden_kd` that sets epochs keeps its own."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate of AdamW."""
    batch_size: int = Field(default=32, ge=1)
    """Rows per step."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Other training settings, over those of the `training` section."""

    def trained(self, training: Training) -> Training:
        """Training settings: these over common ones."""
        own: dict[str, Any] = self.model_dump(include={"epochs", "learning_rate", "batch_size"})
        return training.under(own, self.training)


class MiniKDSettings(ProxySettings):
    """Mini-KD (KD-NAS, Trivedi et al. 2023): each candidate is distilled for a few epochs on a share of the rows.

    Share, epochs, learning rate and batch size are those of public reimplementations; the paper's are unknown.
    """

    kind: Literal["mini_kd"] = "mini_kd"
    """Trains each candidate."""
    method: Annotated[KD | HiddenKD, Field(discriminator="objective")] = Field(default_factory=KD)
    """`kd` as in the paper's first version, judged by its score, or `hidden_kd` with `task: null` as in its second,
    judged by the loss of its last epoch."""
    inherit: Literal["none", "leading", "importance"] = "importance"
    """Rows and columns of weights that candidates inherit."""
    inherit_layers: Literal["first", "spread"] = "first"
    """Layers that shallower candidates inherit; take what the found students take."""
    init: Literal["pretrained", "finetuned"] = "pretrained"
    """Model that candidates inherit from: the pretrained one, or the fine-tuned teacher with its head, from which far
    fewer steps tell candidates apart."""

    @property
    def inherits_teacher(self) -> bool:
        """Whether candidates start from the weights of the fine-tuned teacher."""
        return self.init == "finetuned"

    @model_validator(mode="after")
    def _inherits_something(self) -> "MiniKDSettings":
        if self.inherits_teacher and self.inherit == "none":
            raise ValueError("init: finetuned inherits the teacher's weights, so it cannot go with inherit: none")
        return self


class SupernetSettings(ProxySettings):
    """A weight-sharing supernet trained by the sandwich rule with in-place distillation (Yu et al. 2020, BigNAS)."""

    kind: Literal["supernet"] = "supernet"
    """Trains one model, whose slices are the candidates."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the training rows that the supernet learns from."""
    method: KD = Field(default_factory=KD)
    """How the largest sub-network learns from the teacher's logits and the labels."""
    drawn: int = Field(default=2, ge=0)
    """Random sub-networks of each step, in addition to the largest and the smallest."""
    temperature: float = Field(default=1.0, gt=0)
    """Softmax temperature at which other sub-networks learn from the largest; numbers have the mean squared error."""
    layers: Literal["first", "spread"] = "first"
    """Layers of a shallower sub-network: the first ones, or the last layer of each of several equal parts."""
    tuning_steps: int = Field(default=0, ge=0)
    """Steps that fine-tune a sub-network with the largest's method before it is scored; 0 leaves this out."""
    probe_rows: int = Field(default=512, ge=1)
    """Largest number of training rows for the distance from the teacher's logits."""


EstimatorSettings = Annotated[MiniKDSettings | SupernetSettings, Field(discriminator="kind")]
