"""Homogeneous search spaces, and files of search spaces. Light: no torch here.

The five choices are those of KD-NAS (Trivedi et al. 2023): layers, hidden size, heads, feed-forward size, activation.
`distilgrid.search.layered_space` has the space whose layers differ from each other.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.messages import first_problem
from distilgrid.core.project import read_yaml
from distilgrid.core.schema import Settings
from distilgrid.search.architecture import Activation, Choice, Size, encoder_layer_parameters, require_different
from distilgrid.search.drawing import draw_places
from distilgrid.search.layered_space import LayeredShape, LayeredSpace


@dataclass(frozen=True, order=True)
class Shape:
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
    def parameters(self) -> int:
        """Parameters of the layers, without embeddings and head: weights, biases and layer norms."""
        return self.layers * encoder_layer_parameters(self.hidden, self.feed_forward)

    def as_dict(self) -> dict[str, Any]:
        """Choices by name."""
        return asdict(self)


class Space(Settings):
    """All shapes with one value of each list that keep to the constraints."""

    kind: Literal["homogeneous"] = Field(default="homogeneous", exclude=True)
    """Kind of the space. Recipes leave it out: they know spaces by their lists."""
    layers: list[Size] = Field(min_length=1)
    """Numbers of transformer layers."""
    hidden: list[Size] = Field(min_length=1)
    """Widths of the hidden states."""
    heads: list[Size] = Field(min_length=1)
    """Numbers of attention heads; only those that divide a shape's hidden size are taken."""
    feed_forward: list[Size] = Field(min_length=1)
    """Widths of the feed-forward layers."""
    activation: list[Activation] = Field(default=["gelu"], min_length=1)
    """Activations of the feed-forward layers."""
    max_parameters: int | None = Field(default=None, ge=1)
    """Most parameters of the layers, embeddings apart; null sets no limit."""

    @model_validator(mode="after")
    def _not_empty(self) -> "Space":
        require_different(**self._lists)
        if not self.shapes:
            raise ValueError("no shape is left: no number of heads divides a hidden size, or max_parameters is too low")
        return self

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Every shape, in a fixed order."""
        combined = product(*self._lists.values())
        return tuple(shape for shape in (Shape(*values) for values in combined) if self.allows(shape))

    @property
    def size(self) -> int:
        """Number of shapes."""
        return len(self.shapes)

    @property
    def counted(self) -> bool:
        """True: `size` is exact."""
        return True

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Decisions in their order, with every value allowed."""
        return tuple(Choice(name, tuple(values), tuple(range(len(values)))) for name, values in self._lists.items())

    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """Decision after `places`, with its allowed values; None when the shape is complete."""
        if len(places) == len(self.choices):
            return None
        return replace(self.choices[len(places)], allowed=self._allowed.get(places, ()))

    def draw(self, random: random.Random) -> Shape:
        """Random shape: each decision is uniform among its allowed values."""
        return self.decode(draw_places(self, random))

    def allows(self, shape: Shape) -> bool:
        """Whether a shape keeps to the constraints."""
        fits = self.max_parameters is None or shape.parameters <= self.max_parameters
        return fits and shape.hidden % shape.heads == 0

    def sample(self, count: int, *, seed: int) -> list[Shape]:
        """Up to `count` different random shapes."""
        return random.Random(f"space/{seed}").sample(self.shapes, min(count, len(self.shapes)))

    def neighbours(self, shape: Shape) -> Iterator[Shape]:
        """Shapes that differ in one choice."""
        for field in fields(Shape):
            for value in getattr(self, field.name):
                other = replace(shape, **{field.name: value})
                if other != shape and self.allows(other):
                    yield other

    def encode(self, shape: Shape) -> tuple[int, ...]:
        """Place of each choice in its list. Raises ValueError for a shape outside the space."""
        return tuple(values.index(value) for values, value in zip(self._lists.values(), astuple(shape), strict=True))

    def decode(self, places: tuple[int, ...]) -> Shape:
        """Shape of the places."""
        return Shape(*(values[place] for values, place in zip(self._lists.values(), places, strict=True)))

    @property
    def _lists(self) -> dict[str, list[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(Shape)}

    @cached_property
    def _allowed(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        """Places that lead to a shape, by the places of the decisions before."""
        following: dict[tuple[int, ...], set[int]] = {}
        for places in map(self.encode, self.shapes):
            for decided, place in enumerate(places):
                following.setdefault(places[:decided], set()).add(place)
        return {places: tuple(sorted(found)) for places, found in following.items()}


def _kind(values: Any) -> str:
    """Kind of the space that a mapping or an instance describes."""
    kind = values.get("kind", "homogeneous") if isinstance(values, Mapping) else getattr(values, "kind", "")
    return str(kind)


AnySpace = Annotated[
    Annotated[Space, Tag("homogeneous")] | Annotated[LayeredSpace, Tag("layered")], Discriminator(_kind)
]
"""A space within other settings; the default kind is `homogeneous`."""
KINDS: dict[str, type[Space] | type[LayeredSpace]] = {"homogeneous": Space, "layered": LayeredSpace}


def load_space(path: Path | str) -> Space | LayeredSpace:
    """Read a search space from a YAML file, whose `kind` is `homogeneous` (the default) or `layered`.

    Raises UserError naming the file and the key.
    """
    values = read_yaml(path)
    kind = _kind(values)
    if kind not in KINDS:
        raise UserError(f"{path}: kind: unknown kind '{kind}'; {did_you_mean(kind, KINDS)}")
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error, KINDS[kind].model_json_schema())}") from None


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
    """A size, the sizes of all layers, or an activation."""
    if isinstance(value, str):
        return value
    return tuple(map(int, value)) if hasattr(value, "__iter__") else int(value)
