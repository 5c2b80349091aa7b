"""A search space with separate sizes for each layer, as in compiler-aware search (Niu et al. 2020, CANAO).

The number of transformer blocks is decided first, then the values that all layers share, then the sizes layer by layer.
Light: no torch here.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings
from distilgrid.search.architecture import Activation, Choice, Size, encoder_layer_parameters, require_different
from distilgrid.search.drawing import Untried, draw_places

SHARED = ("blocks", "heads", "activation")
SIZES = ("hidden", "feed_forward")
Fewest = list[dict[int | None, int]]
"""Fewest parameters of the layers that follow, by their number and by the width before them (None: no width)."""


@dataclass(frozen=True, order=True)
class LayeredShape:
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
    def parameters(self) -> int:
        """Parameters of the layers and projections, without embeddings and head."""
        return parameters_of(self.hidden, self.feed_forward)

    def as_dict(self) -> dict[str, Any]:
        """Choices by name, as plain values."""
        sizes = {"hidden": list(self.hidden), "feed_forward": list(self.feed_forward)}
        return {"kind": "layered", **asdict(self), **sizes}


def parameters_of(hidden: tuple[int, ...], feed_forward: tuple[int, ...]) -> int:
    """Parameters of layers of these widths and of the projections between them."""
    befores = (None, *hidden)
    projections = sum(projection_parameters(before, width) for before, width in zip(befores, hidden, strict=False))
    return projections + sum(encoder_layer_parameters(h, f) for h, f in zip(hidden, feed_forward, strict=True))


def projection_parameters(before: int | None, hidden: int) -> int:
    """Parameters between two widths: of a linear layer where they differ, none before the first layer."""
    return 0 if before in (None, hidden) else (before or 0) * hidden + hidden


def fewest_parameters(hidden: Sequence[int], feed_forward: Sequence[int], *, layers: int) -> Fewest:
    """Smallest stacks of up to `layers` layers with widths from lists."""
    own = {width: encoder_layer_parameters(width, min(feed_forward)) for width in hidden}
    befores = (None, *hidden)
    table: Fewest = [dict.fromkeys(befores, 0)]
    for _ in range(layers):
        rest = table[-1]
        ways = {b: (projection_parameters(b, width) + own[width] + rest[width] for width in hidden) for b in befores}
        table.append({before: min(sums) for before, sums in ways.items()})
    return table


class LayeredSpace(Settings):
    """All encoders with one number of blocks, one number of heads, and for each layer one width of each kind.

    The space may hold too many architectures to list them: draws and limits work without a list.
    """

    kind: Literal["layered"] = "layered"
    """Kind of the space."""
    blocks: list[Size] = Field(min_length=1)
    """Numbers of transformer blocks."""
    hidden: list[Size] = Field(min_length=1)
    """Widths of the hidden states, chosen for each layer."""
    feed_forward: list[Size] = Field(min_length=1)
    """Widths of the feed-forward layers, chosen for each layer."""
    heads: list[Size] = Field(min_length=1)
    """Numbers of attention heads, one for all layers; it limits their widths to its multiples."""
    activation: list[Activation] = Field(default=["gelu"], min_length=1)
    """Activations of the feed-forward layers, one for all layers."""
    max_parameters: int | None = Field(default=None, ge=1)
    """Most parameters of the layers and projections, embeddings apart; null sets no limit."""

    @model_validator(mode="after")
    def _not_empty(self) -> "LayeredSpace":
        require_different(**{name: getattr(self, name) for name in (*SHARED, *SIZES)})
        if not self._fewest:
            raise ValueError("no shape is left: no number of heads divides a hidden size")
        least = min(fewest[min(self.blocks)][None] for fewest in self._fewest.values())
        if self.max_parameters is not None and least > self.max_parameters:
            raise ValueError(f"no shape is left: max_parameters is {self.max_parameters}, the smallest has {least}")
        return self

    @cached_property
    def size(self) -> int:
        """Number of architectures without the limit on parameters."""
        layers = (len(_widths(fewest)) * len(self.feed_forward) for fewest in self._fewest.values())
        return len(self.activation) * sum(ways**blocks for ways in layers for blocks in self.blocks)

    @property
    def counted(self) -> bool:
        """Whether `size` is exact: a limit on parameters excludes an unknown number."""
        return self.max_parameters is None

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Decisions of the deepest architectures: blocks, heads, activation, then the sizes layer by layer."""
        sized = ((f"{name}-{layer}", name) for layer in range(1, max(self.blocks) + 1) for name in SIZES)
        names = [*((name, name) for name in SHARED), *sized]
        return tuple(_choice(name, getattr(self, values)) for name, values in names)

    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """Decision after `places`; None when the architecture is complete."""
        if places and len(places) == len(SHARED) + len(SIZES) * self.blocks[places[0]]:
            return None
        choice = self.choices[len(places)]
        allowed = (place for place in choice.allowed if self._can_follow(places, choice.values[place]))
        return replace(choice, allowed=tuple(allowed))

    def encode(self, architecture: LayeredShape) -> tuple[int, ...]:
        """Place of each choice in its list. Raises ValueError for a value outside its list."""
        sizes = zip(architecture.hidden, architecture.feed_forward, strict=True)
        shared = (architecture.layers, architecture.heads, architecture.activation)
        values = [*shared, *(width for both in sizes for width in both)]
        if architecture.layers not in self.blocks:
            raise ValueError(f"{architecture.layers} blocks are not in the list {self.blocks}")
        return tuple(choice.values.index(value) for choice, value in zip(self.choices, values, strict=False))

    def decode(self, places: tuple[int, ...]) -> LayeredShape:
        """Architecture of the places."""
        blocks, heads, activation, *sizes = self._values(places)
        if len(sizes) != len(SIZES) * blocks:
            raise ValueError(f"{blocks} blocks have {len(SIZES) * blocks} sizes, found {len(sizes)}")
        return LayeredShape(tuple(sizes[::2]), tuple(sizes[1::2]), heads, activation)

    def draw(self, random: random.Random) -> LayeredShape:
        """Random architecture: each decision is uniform among its allowed values."""
        return self.decode(draw_places(self, random))

    def sample(self, count: int, *, seed: int) -> list[LayeredShape]:
        """Up to `count` different random architectures, drawn decision by decision."""
        untried = Untried(self, random.Random(f"space/{seed}"))
        drawn = (untried.draw() for _ in range(count))
        return [shape for shape in drawn if isinstance(shape, LayeredShape)]

    def neighbours(self, architecture: LayeredShape) -> Iterator[LayeredShape]:
        """Architectures that differ in one choice. A change of depth drops the last layers, or repeats the last one."""
        places, fixed = self.encode(architecture), len(SHARED)
        for at, choice in enumerate(self.choices[: len(places)]):
            for place in choice.allowed:
                if place == places[at]:
                    continue
                other = (*places[:at], place, *places[at + 1 :])
                if at == 0:
                    missing = max(self.blocks[place] - architecture.layers, 0)
                    other = (*other, *places[-len(SIZES) :] * missing)[: fixed + len(SIZES) * self.blocks[place]]
                if self.allows(shape := self.decode(other)):
                    yield shape

    def allows(self, architecture: LayeredShape) -> bool:
        """Whether an architecture keeps to the constraints."""
        fits = self.max_parameters is None or architecture.parameters <= self.max_parameters
        return fits and all(hidden % architecture.heads == 0 for hidden in architecture.hidden)

    @cached_property
    def _fewest(self) -> dict[int, Fewest]:
        """Fewest parameters by number of heads, for the widths that it divides; others are left out."""
        widths = {heads: [hidden for hidden in self.hidden if hidden % heads == 0] for heads in self.heads}
        return {
            heads: fewest_parameters(fitting, self.feed_forward, layers=max(self.blocks))
            for heads, fitting in widths.items()
            if fitting
        }

    def _values(self, places: tuple[int, ...]) -> list[Any]:
        return [choice.values[place] for choice, place in zip(self.choices, places, strict=False)]

    def _can_follow(self, places: tuple[int, ...], value: Any) -> bool:
        """Whether a value after `places` leads to a member of the space."""
        decided = self._values(places)
        if not decided:
            return any(self._fits(heads, 0, None, value) for heads in self._fewest)
        if len(decided) == 1:
            return value in self._fewest and self._fits(value, 0, None, decided[0])
        if len(decided) == len(SHARED) - 1:
            return True
        return self._layer_can_follow(decided, value)

    def _layer_can_follow(self, decided: list[Any], value: int) -> bool:
        blocks, heads, _, *sizes = decided
        hidden, feed_forward = (*sizes[::2],), (*sizes[1::2],)
        if len(sizes) % len(SIZES):
            feed_forward += (value,)
        else:
            hidden, feed_forward = (*hidden, value), (*feed_forward, min(self.feed_forward))
        used = parameters_of(hidden, feed_forward)
        return hidden[-1] in _widths(self._fewest[heads]) and self._fits(heads, used, hidden[-1], blocks - len(hidden))

    def _fits(self, heads: int, used: int, before: int | None, layers: int) -> bool:
        """Whether `layers` more layers fit after a layer of width `before` and `used` parameters."""
        return self.max_parameters is None or used + self._fewest[heads][layers][before] <= self.max_parameters


def _widths(fewest: Fewest) -> set[int]:
    return {width for width in fewest[0] if width is not None}


def _choice(name: str, values: list[Any]) -> Choice:
    return Choice(name, tuple(values), tuple(range(len(values))))
