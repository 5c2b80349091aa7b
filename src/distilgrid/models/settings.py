"""What a user can set for teachers and students. Light: no torch here."""

from typing import Any, Literal

from pydantic import Field, model_validator

from distilgrid.distillation.settings import TrainingOverrides
from distilgrid.models.source import is_new
from distilgrid.schema import Settings


class Teacher(Settings):
    """A pretrained model that is fine-tuned on each task and then teaches."""

    source: str
    """`hub:<name>@<revision>`, `path:<folder>`, `package:<distribution>`, or `new:<architecture>` for image tasks."""
    seed: int = Field(default=0, ge=0)
    """Seed of the teacher's own fine-tuning; every student of the grid learns from this one teacher."""
    rows: Literal["all", "students"] = "all"
    """Training rows that the teacher sees where students see a share: all of them, or those of its students."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this teacher."""


class Architecture(Settings):
    """A student's shape where it differs from its origin's. Names are those of the BERT configuration."""

    num_hidden_layers: int | None = Field(default=None, ge=1)
    """Transformer layers."""
    hidden_size: int | None = Field(default=None, ge=8)
    """Width of the hidden states; a multiple of the number of heads."""
    intermediate_size: int | None = Field(default=None, ge=8)
    """Width of the feed-forward layers."""
    num_attention_heads: int | None = Field(default=None, ge=1)
    """Attention heads per layer."""


class Student(Settings):
    """A smaller model: the first k layers of its origin, chosen layers of it, or a shape of its own."""

    source: str | None = None
    """A model of its own, with its own tokeniser; null starts from the teacher's pretrained model. Students of image
    tasks are `new:` ones, as in new:resnet-8."""
    layers: int | list[int] | None = None
    """The first k layers, or an explicit list of layer numbers counted from 0; null keeps all."""
    architecture: Architecture | None = None
    """A shape of its own instead of a choice of layers; inherits the origin's leading rows and columns."""
    init: Literal["pretrained", "finetuned", "scratch"] = "pretrained"
    """Weights from the pretrained model, from the fine-tuned teacher, or random; `new:` models are always random."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section, and from a method's own, for this student."""

    @model_validator(mode="before")
    @classmethod
    def _new_ones_are_random(cls, values: Any) -> Any:
        if isinstance(values, dict) and is_new(str(values.get("source"))):
            return {"init": "scratch", **values}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> "Student":
        if self.layers is not None and self.architecture is not None:
            raise ValueError("give either layers or architecture, not both")
        shaped = self.init != "scratch" or self.layers is not None or self.architecture is not None
        if self.source is not None and is_new(self.source) and shaped:
            raise ValueError(f"'{self.source}' is an architecture with random weights: give it no other setting")
        if self.source is not None and self.init == "finetuned":
            raise ValueError("init: finetuned takes the teacher's weights, so it cannot go with a source of its own")
        if isinstance(self.layers, list) and len(set(self.layers)) < len(self.layers):
            raise ValueError("layers must name each layer once")
        if self.layers == 0 or self.layers == [] or (isinstance(self.layers, int) and self.layers < 0):
            raise ValueError("layers must name at least one layer")
        return self
