"""A search space with separate sizes for each layer, as in compiler-aware search (Niu et al. 2020, CANAO).

The number of transformer blocks is decided first, then the values that all layers share, then the sizes layer by layer.
Light: no torch here.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from distilgrid.search.architecture import (
    LayeredShape,
    Size,
    encoder_layer_parameters,
    parameters_of,
    projection_parameters,
)
from distilgrid.search.decisions import Choice, SearchSpace

SHARED = ("blocks", "heads", "activation")
SIZES = ("hidden", "feed_forward")
Fewest = list[dict[int | None, int]]
"""Fewest parameters of the layers that follow, by their number and by the width before them (None: no width)."""


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


class LayeredSpace(SearchSpace):
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

    @model_validator(mode="after")
    def _not_empty(self) -> "LayeredSpace":
        if not self._fewest:
            raise ValueError("no shape is left: no number of heads divides a hidden size")
        least = min(fewest[min(self.blocks)][None] for fewest in self._fewest.values())
        if self.max_parameters is not None and least > self.max_parameters:
            raise ValueError(f"no shape is left: max_parameters is {self.max_parameters}, the smallest has {least}")
        return self

    @property
    def size(self) -> int:
        """Number of architectures without the limit on parameters."""
        layers = ((len(fewest[0]) - 1) * len(self.feed_forward) for fewest in self._fewest.values())
        return len(self.activation) * sum(ways**blocks for ways in layers for blocks in self.blocks)

    @property
    def counted(self) -> bool:
        """Whether `size` is exact: a limit on parameters excludes an unknown number."""
        return self.max_parameters is None

    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """Decision after `places`; None when the architecture is complete."""
        if places and len(places) == len(SHARED) + len(SIZES) * self.blocks[places[0]]:
            return None
        choice = self.choices[len(places)]
        allowed = (place for place in choice.allowed if self._can_follow(places, choice.values[place]))
        return replace(choice, allowed=tuple(allowed))

    def _lists(self) -> dict[str, list[Any]]:
        """Blocks, heads, activation, then the sizes layer by layer."""
        layers = range(1, max(self.blocks) + 1)
        sizes = {f"{name}-{layer}": getattr(self, name) for layer in layers for name in SIZES}
        return {name: getattr(self, name) for name in SHARED} | sizes

    def _made(self, decisions: Sequence[Any]) -> LayeredShape:
        blocks, heads, activation, *sizes = decisions
        if len(sizes) != len(SIZES) * blocks:
            raise ValueError(f"{blocks} blocks have {len(SIZES) * blocks} sizes, found {len(sizes)}")
        return LayeredShape(tuple(sizes[::2]), tuple(sizes[1::2]), heads, activation)

    def _changed(self, places: tuple[int, ...], at: int, place: int) -> tuple[int, ...]:
        """Places with another one. A change of depth drops the last layers, or repeats the last one."""
        changed = super()._changed(places, at, place)
        if at:
            return changed
        sizes = len(SIZES) * self.blocks[place]
        return (*changed, *places[-len(SIZES) :] * self.blocks[place])[: len(SHARED) + sizes]

    @cached_property
    def _fewest(self) -> dict[int, Fewest]:
        """Fewest parameters by number of heads, for the widths that it divides; others are left out."""
        widths = {heads: [hidden for hidden in self.hidden if hidden % heads == 0] for heads in self.heads}
        return {
            heads: fewest_parameters(fitting, self.feed_forward, layers=max(self.blocks))
            for heads, fitting in widths.items()
            if fitting
        }

    def _can_follow(self, places: tuple[int, ...], value: Any) -> bool:
        """Whether a value after `places` leads to a member of the space."""
        decided = self._decided(places)
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
        return hidden[-1] in self._fewest[heads][0] and self._fits(heads, used, hidden[-1], blocks - len(hidden))

    def _fits(self, heads: int, used: int, before: int | None, layers: int) -> bool:
        """Whether `layers` more layers fit after a layer of width `before` and `used` parameters."""
        return self.max_parameters is None or used + self._fewest[heads][layers][before] <= self.max_parameters
