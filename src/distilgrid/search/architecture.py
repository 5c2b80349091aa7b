"""Architectures of students: encoders of equal layers, and encoders whose layers differ. Light: no torch here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.models.settings import StudentShape

Activation = Literal["gelu", "relu", "silu"]
Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, order=True)
class Architecture(ABC):
    """The encoder of a student. Architectures can be hashed, and those of one class can be put in order."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Short unique name, for tables and files."""

    @property
    @abstractmethod
    def encoder(self) -> "LayeredShape":
        """The same sizes, layer by layer."""

    @property
    @abstractmethod
    def decisions(self) -> tuple[Any, ...]:
        """Values in the order in which a search space decides them."""

    @property
    def parameters(self) -> int:
        """Parameters of the layers and of projections between widths, without embeddings and head."""
        return parameters_of(self.encoder.hidden, self.encoder.feed_forward)

    def as_dict(self) -> dict[str, Any]:
        """Choices by name, as plain values that `read_architecture` reads."""
        return asdict(self)


@dataclass(frozen=True, order=True)
class Shape(Architecture):
    """One homogeneous BERT encoder."""

    layers: int  # transformer layers
    hidden: int  # width of the hidden states
    heads: int  # attention heads of each layer
    feed_forward: int  # width of the feed-forward layers
    activation: Activation = "gelu"

    @property
    def name(self) -> str:
        """Name such as `4L-312H-12A-1200F-gelu`."""
        return f"{self.layers}L-{self.hidden}H-{self.heads}A-{self.feed_forward}F-{self.activation}"

    @property
    def encoder(self) -> "LayeredShape":
        """The same sizes for each layer."""
        widths = (self.hidden,) * self.layers, (self.feed_forward,) * self.layers
        return LayeredShape(*widths, self.heads, self.activation)

    @property
    def decisions(self) -> tuple[Any, ...]:
        """Values of the five choices."""
        return astuple(self)


@dataclass(frozen=True, order=True)
class LayeredShape(Architecture):
    """A BERT encoder with separate widths for each layer.

    A linear projection stands between two layers of different widths. The embeddings have the width of the first layer.
    """

    hidden: tuple[int, ...]  # width of each layer: (L)
    feed_forward: tuple[int, ...]  # feed-forward width of each layer: (L)
    heads: int  # attention heads of every layer; they must divide each width
    activation: Activation = "gelu"

    def __post_init__(self) -> None:
        if len(self.hidden) != len(self.feed_forward) or not self.hidden:
            raise ValueError(f"{self.hidden} and {self.feed_forward} must have one width for each layer, one at least")

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return len(self.hidden)

    @property
    def name(self) -> str:
        """Name by hidden and feed-forward width of each layer: `2B-384.1536-192.768-12A-gelu`."""
        sizes = "-".join(f"{hidden}.{ff}" for hidden, ff in zip(self.hidden, self.feed_forward, strict=True))
        return f"{self.layers}B-{sizes}-{self.heads}A-{self.activation}"

    @property
    def encoder(self) -> "LayeredShape":
        """Itself."""
        return self

    @property
    def decisions(self) -> tuple[Any, ...]:
        """Number of layers, what they share, then both widths layer by layer."""
        sizes = (width for both in zip(self.hidden, self.feed_forward, strict=True) for width in both)
        return (self.layers, self.heads, self.activation, *sizes)

    def as_dict(self) -> dict[str, Any]:
        """Choices by name, as plain values."""
        sizes = {"hidden": list(self.hidden), "feed_forward": list(self.feed_forward)}
        return {"kind": "layered", **asdict(self), **sizes}


def encoder_layer_parameters(hidden: int, feed_forward: int) -> int:
    """Parameters of one BERT layer: attention, feed-forward and two layer norms, weights and biases."""
    attention = 4 * hidden * (hidden + 1)
    return attention + 2 * hidden * feed_forward + feed_forward + hidden + 4 * hidden


def projection_parameters(before: int | None, hidden: int) -> int:
    """Parameters between two widths: of a linear layer where they differ, none before the first layer."""
    return 0 if before in (None, hidden) else (before or 0) * hidden + hidden


def parameters_of(hidden: tuple[int, ...], feed_forward: tuple[int, ...]) -> int:
    """Parameters of layers of these widths and of the projections between them."""
    befores = (None, *hidden)
    projections = sum(projection_parameters(before, width) for before, width in zip(befores, hidden, strict=False))
    return projections + sum(encoder_layer_parameters(h, f) for h, f in zip(hidden, feed_forward, strict=True))


def model_parameters(architecture: Architecture, config: Mapping[str, Any]) -> int:
    """Parameters of a BERT with its embeddings and pooler, without its head.

    `config` has the sizes of the embeddings' tables, as in `config.json`.
    """
    first, last = architecture.encoder.hidden[0], architecture.encoder.hidden[-1]
    rows = sum(config.get(name) or 0 for name in ("vocab_size", "max_position_embeddings", "type_vocab_size"))
    return (rows + 2) * first + architecture.parameters + last * (last + 1)  # 2: the layer norm of the embeddings


def oversize(architecture: Architecture, share: float, *, teacher: Mapping[str, Any]) -> float:
    """The excess of the parameters over a share of the teacher's, relative to it; `teacher` is its `config.json`."""
    # A product of floats may lie just below the whole number that is meant.
    limit = max(1, round(share * model_parameters(shape_of(teacher), teacher)))
    return max(0.0, model_parameters(architecture, teacher) - limit) / limit


def check_size(architectures: Sequence[Architecture], share: float, *, teacher: Mapping[str, Any]) -> None:
    """Refuse a share of the teacher's parameters that none of some architectures keeps to.

    Raises UserError naming the smallest one.
    """
    least = min(architectures, key=lambda each: oversize(each, share, teacher=teacher))
    excess = oversize(least, share, teacher=teacher)
    if excess > 0:
        raise UserError(
            f"max_size_share {share:g}: no architecture is that small; the smallest of {len(architectures)}, "
            f"{least.name}, exceeds it by {excess:.0%}; raise the share or widen the space"
        )


def read_architecture(values: Mapping[str, Any]) -> Shape | LayeredShape:
    """Architecture whose `as_dict` gave these values, also after JSON or parquet.

    Raises ValueError when a choice is missing, unknown or not a number.
    """
    plain = dict(values)
    cls = LayeredShape if plain.pop("kind", None) == "layered" else Shape
    names = {field.name for field in fields(cls)}
    if set(plain) != names:
        raise ValueError(
            f"an architecture has the choices {', '.join(sorted(names))}, found {', '.join(sorted(plain))}"
        )
    return cls(**{name: _plain(value) for name, value in plain.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return tuple(map(int, value)) if hasattr(value, "__iter__") else int(value)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Shape of a trained model such as a teacher, read from its `config.json`.

    Raises UserError unless the model is a BERT-like encoder of equal layers.
    """
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act")
    missing = [name for name in names if name not in config]
    if missing:
        kind = config.get("model_type")
        raise UserError(
            f"a search wants a BERT-like teacher, and the configuration of this '{kind}' has no {missing[0]}"
        )
    return Shape(*(config[name] for name in names))


def encoder_of(architecture: Architecture) -> LayeredShape:
    """Sizes that a model can be built from. Raises UserError when the heads do not divide a width."""
    encoder = architecture.encoder
    for width in encoder.hidden:
        if width % encoder.heads:
            raise UserError(
                f"architecture {architecture.name}: {encoder.heads} heads do not divide width {width}; change one"
            )
    return encoder


def student_shape(architecture: Architecture) -> StudentShape:
    """An architecture as a grid writes it. Raises UserError when the heads do not divide a width."""
    encoder = encoder_of(architecture)
    hidden, feed_forward = encoder.hidden, encoder.feed_forward
    sizes: dict[str, Any] = {"hidden_sizes": list(hidden), "intermediate_sizes": list(feed_forward)}
    if not isinstance(architecture, LayeredShape):
        sizes = {"num_hidden_layers": len(hidden), "hidden_size": hidden[0], "intermediate_size": feed_forward[0]}
    return StudentShape(**sizes, num_attention_heads=encoder.heads, hidden_act=encoder.activation)
