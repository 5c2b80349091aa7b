"""Search spaces as paths of decisions, and their untried members. Light: no torch here."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings
from distilgrid.search.architecture import Activation, Architecture

Fits = Callable[[Architecture], bool]
"""Whether an architecture may be proposed, such as one whose latency is known to keep to a limit."""
REJECTED = 10_000
"""Draws in a row that do not fit, after which no member is left."""


def anything(architecture: Architecture) -> bool:
    """Let every architecture be proposed."""
    del architecture
    return True


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


class SearchSpace(Settings):
    """Architectures as paths of decisions: `places` holds the place of each decision's value in its list."""

    activation: list[Activation] = Field(default=["gelu"], min_length=1)
    """Activations of the feed-forward layers, one for all layers."""
    max_parameters: int | None = Field(default=None, ge=1)
    """Most parameters of the layers and projections, embeddings apart; null sets no limit."""

    @model_validator(mode="after")
    def _each_once(self) -> "SearchSpace":
        for name, values in self:
            if isinstance(values, list) and len(set(values)) < len(values):
                raise ValueError(f"{name} must list each value once, found {values}")
        return self

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of architectures; an upper bound unless `counted`."""

    @property
    def counted(self) -> bool:
        """Whether `size` is exact."""
        return True

    @abstractmethod
    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """Decision after `places`, with its allowed values; None when the architecture is complete."""

    @abstractmethod
    def _lists(self) -> Mapping[str, list[Any]]:
        """Values of each decision of the longest architectures, in their order."""

    @abstractmethod
    def _made(self, decisions: Sequence[Any]) -> Architecture:
        """Architecture of these values."""

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Decisions of the longest architectures, with every value allowed; shorter ones have the first of them."""
        return tuple(Choice(name, tuple(values), tuple(range(len(values)))) for name, values in self._lists().items())

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """Place of each choice in its list. Raises ValueError for a value outside its list."""
        pairs = zip(self.choices, architecture.decisions, strict=False)
        return tuple(choice.values.index(value) for choice, value in pairs)

    def decode(self, places: tuple[int, ...]) -> Architecture:
        """Architecture of the places."""
        return self._made(self._decided(places))

    def sample(self, count: int, *, seed: int) -> Sequence[Architecture]:
        """Up to `count` different random architectures, drawn decision by decision."""
        return Untried(self, Random(f"space/{seed}")).several(count)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Architectures that differ in one choice."""
        places = self.encode(architecture)
        for at, choice in enumerate(self.choices[: len(places)]):
            for place in choice.allowed:
                if place != places[at]:
                    other = self.decode(self._changed(places, at, place))
                    if self.allows(other):
                        yield other

    def allows(self, architecture: Architecture) -> bool:
        """Whether an architecture keeps to the constraints."""
        fits = self.max_parameters is None or architecture.parameters <= self.max_parameters
        return fits and all(width % architecture.encoder.heads == 0 for width in set(architecture.encoder.hidden))

    def _decided(self, places: tuple[int, ...]) -> list[Any]:
        return [choice.values[place] for choice, place in zip(self.choices, places, strict=False)]

    def _changed(self, places: tuple[int, ...], at: int, place: int) -> tuple[int, ...]:
        return (*places[:at], place, *places[at + 1 :])


def walk(space: SearchSpace, pick: Callable[[tuple[int, ...], Choice], int]) -> tuple[int, ...]:
    """Places of an architecture; `pick` makes each decision, from the places before it and its allowed values."""
    places: tuple[int, ...] = ()
    while (choice := space.next_choice(places)) is not None:
        places = (*places, pick(places, choice))
    return places


class Untried:
    """Different members of a space, drawn decision by decision, until none is left.

    Draws are uniform over decisions, not over members: where each layer has its own width, nearly all members have the
    most layers. Decisions after which every member was taken are left out, so every draw succeeds, and only the taken
    members are listed. Members that do not fit are taken without being drawn.
    """

    def __init__(self, space: SearchSpace, random: Random, *, fits: Fits = anything) -> None:
        self._space, self._random, self._fits = space, random, fits
        self._spent: set[tuple[int, ...]] = set()

    def draw(self) -> Architecture | None:
        """A member that fits and was not drawn or taken before; None when none is left."""
        for _ in range(REJECTED):
            if () in self._spent:
                break
            places = walk(self._space, lambda places, choice: self._random.choice(self._open(places, choice)))
            architecture = self._space.decode(places)
            self.take(architecture)
            if self._fits(architecture):
                return architecture
        return None

    def several(self, count: int) -> list[Architecture]:
        """Up to `count` untried architectures."""
        found: list[Architecture] = []
        while len(found) < count and (drawn := self.draw()) is not None:
            found.append(drawn)
        return found

    def take(self, architecture: Architecture) -> None:
        """Exclude a member from later draws."""
        places = self._space.encode(architecture)
        self._spent.add(places)
        while places:
            places = places[:-1]
            choice = self._space.next_choice(places)
            if choice is None or self._open(places, choice):
                return
            self._spent.add(places)

    def _open(self, places: tuple[int, ...], choice: Choice) -> list[int]:
        return [place for place in choice.allowed if (*places, place) not in self._spent]
