"""Settings of a student's shape and weights. Light: no torch."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Seed, Settings
from distilgrid.models.source import is_new

Size = Annotated[int, Field(ge=8)]


class StudentShape(Settings):
    """Sizes in which a student differs from its origin, by names of the BERT configuration."""

    num_hidden_layers: int | None = Field(default=None, ge=1)
    """Transformer layers."""
    hidden_size: int | None = Field(default=None, ge=8)
    """Width of the hidden states; a multiple of the number of heads."""
    intermediate_size: int | None = Field(default=None, ge=8)
    """Width of the feed-forward layers."""
    num_attention_heads: int | None = Field(default=None, ge=1)
    """Attention heads per layer."""
    hidden_act: Literal["gelu", "relu", "silu"] | None = None
    """Activation of the feed-forward layers."""
    hidden_sizes: list[Size] | None = Field(default=None, min_length=1)
    """Width of each layer's hidden states, instead of the three sizes above; each a multiple of the number of heads."""
    intermediate_sizes: list[Size] | None = Field(default=None, min_length=1)
    """Width of each layer's feed-forward network; needs `hidden_sizes`."""

    @property
    def layered(self) -> bool:
        """Whether layers differ in width."""
        return self.hidden_sizes is not None

    @property
    def sets_width(self) -> bool:
        """Whether hidden states may have another width than the origin's."""
        return self.layered or self.hidden_size is not None

    @model_validator(mode="after")
    def _consistent(self) -> "StudentShape":
        hidden, feed_forward, heads = self.hidden_sizes, self.intermediate_sizes, self.num_attention_heads
        if hidden is None and feed_forward is None:
            return self
        if hidden is None or feed_forward is None:
            raise ValueError("give hidden_sizes and intermediate_sizes together: one of each for every layer")
        if len(hidden) != len(feed_forward):
            raise ValueError(f"{len(hidden)} hidden_sizes and {len(feed_forward)} intermediate_sizes; give as many")
        sizes = [n for n in ("num_hidden_layers", "hidden_size", "intermediate_size") if getattr(self, n) is not None]
        if sizes:
            raise ValueError(f"{sizes[0]} is for layers of equal widths; leave it out or drop hidden_sizes")
        wrong = [width for width in hidden if heads is not None and width % heads]
        if wrong:
            raise ValueError(f"hidden_sizes: {wrong[0]} is not a multiple of num_attention_heads {heads}; change one")
        return self


class Found(Settings):
    """Choice among the architectures that searches found."""

    search: str
    """Name under `searches`."""
    seed: Seed = 0
    """Seed of that search."""
    rank: int = Field(default=1, ge=1)
    """Rank by reward; 1 is the best architecture."""


class Student(Settings):
    """A smaller model: the first k layers of its origin, chosen layers of it, or another shape."""

    source: str | None = None
    """Another model with its tokeniser; null starts from the teacher's pretrained model. Students of image
    tasks are `new:` ones, as in new:resnet-8."""
    layers: int | list[int] | None = None
    """The first k layers, or an explicit list of layer numbers counted from 0; null keeps all."""
    architecture: StudentShape | None = None
    """Another shape instead of a choice of layers; inherits a part of the origin's weights."""
    found: Found | None = None
    """A shape that a search found, in place of `architecture`; inherits in the same way."""
    inherit: Literal["leading", "importance"] = "leading"
    """Inheritance of another shape: the origin's leading rows and columns, or its most important heads,
    feed-forward units and hidden units, by the norms of the weights that read them. `importance` needs a BERT or
    RoBERTa."""
    inherit_layers: Literal["first", "spread"] = "first"
    """The origin's layers that a shallower shape inherits: the first ones, or evenly spread ones and the last."""
    init: Literal["pretrained", "finetuned", "supernet", "scratch"] = "pretrained"
    """Weights from the pretrained model, from the fine-tuned teacher, of the slice of a supernet that a search found
    (`found`), or random; `new:` models are always random."""

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
            raise ValueError("init: finetuned takes the teacher's weights, so it cannot go with a separate source")
        if isinstance(self.layers, list) and len(set(self.layers)) < len(self.layers):
            raise ValueError("layers must name each layer once")
        if self.layers == 0 or self.layers == [] or (isinstance(self.layers, int) and self.layers < 0):
            raise ValueError("layers must name at least one layer")
        if self.found is not None and (self.layers is not None or self.architecture is not None):
            raise ValueError("found names the shape that a search gives: leave out layers and architecture")
        if self.init == "supernet" and self.found is None:
            raise ValueError("init: supernet takes the slice that a search found: name the search with found")
        if self.init == "supernet" and (self.inherit, self.inherit_layers) != ("leading", "first"):
            raise ValueError("a slice of a supernet is what it is: leave out inherit and inherit_layers")
        chosen = self.inherit != "leading" or self.inherit_layers != "first"
        if chosen and ((self.architecture is None and self.found is None) or self.init == "scratch"):
            raise ValueError("inherit and inherit_layers belong to an architecture whose init is not scratch")
        return self
