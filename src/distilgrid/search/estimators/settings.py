"""What a user can set for the estimators. Light: no torch here."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.training.settings import Training, TrainingOverrides


class ProxySettings(Settings):
    """The rows on which candidates learn."""

    share: float = Field(default=0.3, gt=0, le=1)
    """Share of the training rows: a seeded, stratified choice, drawn once for all candidates."""
    epochs: int = Field(default=5, ge=1)
    """Passes over these rows; a phase of `hidden_kd` that sets its own keeps them."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate of AdamW."""
    batch_size: int = Field(default=32, ge=1)
    """Rows per step."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Other training settings, over those of the `training` section."""

    def trained(self, training: Training) -> Training:
        """The training settings: these over some common ones."""
        own: dict[str, Any] = {
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
        }
        return training.under(own, self.training)


class MiniKDSettings(ProxySettings):
    """Mini-KD (KD-NAS, Trivedi et al. 2023): each candidate is distilled for a few epochs on a share of the rows.

    Share, epochs, learning rate and batch size are those of public reimplementations; the paper's are unknown.
    """

    kind: Literal["mini_kd"] = "mini_kd"
    """Each candidate is trained."""
    method: Annotated[KD | HiddenKD, Field(discriminator="objective")] = Field(default_factory=KD)
    """`kd` as in the paper's first version, judged by its score, or `hidden_kd` with `task: null` as in its second,
    judged by the loss of its last epoch."""
    inherit: Literal["none", "leading", "importance"] = "importance"
    """What candidates inherit of the origin's weights."""
    init: Literal["pretrained", "finetuned"] = "pretrained"
    """Whose weights they inherit: the pretrained model's, or the fine-tuned teacher's with its head, from which far
    fewer steps tell candidates apart."""

    @model_validator(mode="after")
    def _inherits_something(self) -> "MiniKDSettings":
        if self.init == "finetuned" and self.inherit == "none":
            raise ValueError("init: finetuned inherits the teacher's weights, so it cannot go with inherit: none")
        return self


class SupernetSettings(ProxySettings):
    """A weight-sharing supernet trained by the sandwich rule with in-place distillation (Yu et al. 2020, BigNAS)."""

    kind: Literal["supernet"] = "supernet"
    """One model is trained, and candidates are slices of it."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the training rows that the supernet learns from."""
    method: KD = Field(default_factory=KD)
    """How the largest sub-network learns from the teacher's logits and the labels."""
    drawn: int = Field(default=2, ge=0)
    """Sub-networks drawn at random in each step, beside the largest and the smallest."""
    temperature: float = Field(default=1.0, gt=0)
    """Softmax temperature at which the others learn from the largest; numbers have the mean squared error."""
    layers: Literal["first", "spread"] = "first"
    """Which layers a shallower sub-network has: the first ones, or the last of each of so many equal parts."""
    tuning_steps: int = Field(default=0, ge=0)
    """Steps of the largest's method by which a sub-network is fine-tuned before it is scored; 0 scores it as it is."""
    probe_rows: int = Field(default=512, ge=1)
    """Training rows, at most, on which the distance from the teacher's logits is measured."""


EstimatorSettings = Annotated[MiniKDSettings | SupernetSettings, Field(discriminator="kind")]
