"""What a search chooses from: architectures, the decisions that make one, and spaces of them. Light: no torch here."""

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
        """How tables and files call it: short, and different for different ones."""

    @property
    def parameters(self) -> int:
        """Parameters of its layers, with the projections between widths; embeddings and head apart."""

    def as_dict(self) -> dict[str, Any]:
        """Its choices by name, as plain values; `search.space.read_architecture` turns them back."""

    def __lt__(self, other: Any) -> bool: ...


@dataclass(frozen=True)
class Choice:
    """One decision of an architecture."""

    name: str  # what is decided: `layers`, `hidden`; of one layer among several `hidden-3`, counted from 1
    values: tuple[Any, ...]  # all values that the space lists for it
    allowed: tuple[int, ...]  # places in `values` that can still be completed to a member of the space

    @property
    def quantity(self) -> str:
        """The name without the number of a layer."""
        return self.name.partition("-")[0]


class SearchSpace(Protocol):
    """Architectures as paths of decisions: `places` holds the place of each decision's value in its list.

    The methods take architectures of the space's own class alone.
    """

    @property
    def size(self) -> int:
        """How many architectures it holds; an upper bound where they are not `counted`."""

    @property
    def counted(self) -> bool:
        """Whether `size` is exact."""

    @property
    def choices(self) -> Sequence[Choice]:
        """The decisions of its longest architectures, everything allowed; shorter ones have the first of them."""

    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """The decision that follows these, with what is allowed after them; None when the architecture is complete."""

    def encode(self, architecture: Any) -> tuple[int, ...]:
        """The place of each choice in its list.

        Raises ValueError for an architecture with a value that is not in its list.
        """

    def decode(self, places: tuple[int, ...]) -> Architecture:
        """The architecture of these places."""

    def draw(self, random: random.Random) -> Architecture:
        """One, drawn decision by decision, each uniformly among what is allowed."""

    def sample(self, count: int, *, seed: int) -> Sequence[Architecture]:
        """Different ones drawn at random; all of them, shuffled, where there are no more."""

    def neighbours(self, architecture: Any) -> Iterator[Architecture]:
        """Those that differ in one choice."""

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
