"""Protocols of architectures and search spaces, and the decisions that make an architecture. Light: no torch here."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

Activation = Literal["gelu", "relu", "silu"]
Size = Annotated[int, Field(ge=1)]


class Architecture(Protocol):
    """The encoder of a student. Architectures can be hashed, compared and put in order."""

    @property
    def name(self) -> str:
        """Short unique name, for tables and files."""

    @property
    def parameters(self) -> int:
        """Parameters of the layers and of projections between widths, without embeddings and head."""

    def as_dict(self) -> dict[str, Any]:
        """Choices by name, as plain values that `search.space.read_architecture` reads."""

    def __lt__(self, other: Any) -> bool: ...


@dataclass(frozen=True)
class Choice:
    """One decision of an architecture."""

    name: str  # `layers`, `hidden`; for one layer of several `hidden-3`, counted from 1
    values: tuple[Any, ...]  # all values in the list of the space
    allowed: tuple[int, ...]  # places in `values` that can still be completed to a member of the space

    @property
    def quantity(self) -> str:
        """Name without the number of a layer."""
        return self.name.partition("-")[0]


class SearchSpace(Protocol):
    """Architectures as paths of decisions: `places` holds the place of each decision's value in its list."""

    @property
    def size(self) -> int:
        """Number of architectures; an upper bound unless `counted`."""

    @property
    def counted(self) -> bool:
        """Whether `size` is exact."""

    @property
    def choices(self) -> Sequence[Choice]:
        """Decisions of the longest architectures, with every value allowed; shorter ones have the first of them."""

    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """Decision after `places`, with its allowed values; None when the architecture is complete."""

    def encode(self, architecture: Any) -> tuple[int, ...]:
        """Place of each choice in its list. Raises ValueError for a value outside its list."""

    def decode(self, places: tuple[int, ...]) -> Architecture:
        """Architecture of the places."""

    def draw(self, random: random.Random) -> Architecture:
        """Random architecture: each decision is uniform among its allowed values."""

    def sample(self, count: int, *, seed: int) -> Sequence[Architecture]:
        """Up to `count` different random architectures."""

    def neighbours(self, architecture: Any) -> Iterator[Architecture]:
        """Architectures that differ in one choice."""

    def allows(self, architecture: Any) -> bool:
        """Whether an architecture keeps to the constraints."""


def encoder_layer_parameters(hidden: int, feed_forward: int) -> int:
    """Parameters of one BERT layer: attention, feed-forward and two layer norms, weights and biases."""
    attention = 4 * hidden * (hidden + 1)
    return attention + 2 * hidden * feed_forward + feed_forward + hidden + 4 * hidden


def require_different(**lists: Sequence[Any]) -> None:
    """Refuse a list of a space that holds a value twice. Raises ValueError naming the list."""
    for name, values in lists.items():
        if len(set(values)) < len(values):
            raise ValueError(f"{name} must list each value once, found {list(values)}")
