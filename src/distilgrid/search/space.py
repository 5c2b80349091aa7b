"""A search space as data: which shapes a student may have, how many there are, how to draw one and its neighbours.

The five choices are those of KD-NAS (Trivedi et al. 2023): layers, hidden size, heads, feed-forward size, activation.
Light: no torch here.
"""

import random
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from distilgrid.errors import UserError
from distilgrid.messages import first_problem
from distilgrid.params import read_yaml
from distilgrid.schema import Settings

Activation = Literal["gelu", "relu", "silu"]
Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, order=True)
class Shape:
    """One homogeneous BERT encoder.

    Attributes:
        layers: transformer layers.
        hidden: width of the hidden states.
        heads: attention heads of each layer.
        feed_forward: width of the feed-forward layers.
        activation: of the feed-forward layers.
    """

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    activation: Activation = "gelu"

    @property
    def name(self) -> str:
        """How tables and files call it: `4L-312H-12A-1200F-gelu`."""
        return f"{self.layers}L-{self.hidden}H-{self.heads}A-{self.feed_forward}F-{self.activation}"

    @property
    def parameters(self) -> int:
        """Parameters of its layers, embeddings and head apart: weights, biases and layer norms."""
        attention = 4 * self.hidden * (self.hidden + 1)
        feed_forward = 2 * self.hidden * self.feed_forward + self.feed_forward + self.hidden
        return self.layers * (attention + feed_forward + 4 * self.hidden)

    def as_dict(self) -> dict[str, Any]:
        """Its choices by name."""
        return asdict(self)


class Space(Settings):
    """All shapes with one value of each list, as far as the constraints allow."""

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
        for name in ("layers", "hidden", "heads", "feed_forward", "activation"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must list each value once, found {values}")
        if not self.shapes:
            raise ValueError("no shape is left: no number of heads divides a hidden size, or max_parameters is too low")
        return self

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Every shape, in a fixed order."""
        choices = product(self.layers, self.hidden, self.heads, self.feed_forward, self.activation)
        return tuple(shape for shape in (Shape(*values) for values in choices) if self.allows(shape))

    def allows(self, shape: Shape) -> bool:
        """Whether a shape keeps to the constraints."""
        fits = self.max_parameters is None or shape.parameters <= self.max_parameters
        return fits and shape.hidden % shape.heads == 0

    def sample(self, count: int, *, seed: int) -> list[Shape]:
        """Different shapes drawn at random; all of them, shuffled, where there are no more."""
        return random.Random(f"space/{seed}").sample(self.shapes, min(count, len(self.shapes)))

    def neighbours(self, shape: Shape) -> Iterator[Shape]:
        """Shapes that differ in one choice."""
        for field in fields(Shape):
            for value in getattr(self, field.name):
                other = replace(shape, **{field.name: value})
                if other != shape and self.allows(other):
                    yield other

    def encode(self, shape: Shape) -> tuple[int, ...]:
        """The place of each choice in its list.

        Raises:
            ValueError: for a shape outside the space.
        """
        lists: list[list[Any]] = [getattr(self, field.name) for field in fields(Shape)]
        return tuple(values.index(value) for values, value in zip(lists, astuple(shape), strict=True))

    def decode(self, places: tuple[int, ...]) -> Shape:
        """The shape of these places."""
        lists: list[list[Any]] = [getattr(self, field.name) for field in fields(Shape)]
        return Shape(*(values[place] for values, place in zip(lists, places, strict=True)))


def load_space(path: Path | str) -> Space:
    """A search space from a YAML file.

    Raises:
        UserError: one line naming the file and the key.
    """
    try:
        return Space.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error, Space.model_json_schema())}") from None
