"""Homogeneous search spaces, and files of search spaces. Light: no torch here.

The five choices are those of KD-NAS (Trivedi et al. 2023): layers, hidden size, heads, feed-forward size, activation.
`distilgrid.search.layered_space` has the space whose layers differ from each other.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import Field, model_validator

from distilgrid.core.messages import validated_kind
from distilgrid.core.yaml import read_yaml
from distilgrid.search.architecture import Shape, Size
from distilgrid.search.decisions import Choice, SearchSpace
from distilgrid.search.layered_space import LayeredSpace


class Space(SearchSpace):
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

    @model_validator(mode="after")
    def _not_empty(self) -> "Space":
        if not self.shapes:
            raise ValueError("no shape is left: no number of heads divides a hidden size, or max_parameters is too low")
        return self

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Every shape, in a fixed order."""
        return tuple(filter(self.allows, map(self._made, product(*self._lists().values()))))

    @property
    def size(self) -> int:
        """Number of shapes."""
        return len(self.shapes)

    def next_choice(self, places: tuple[int, ...]) -> Choice | None:
        """Decision after `places`, with its allowed values; None when the shape is complete."""
        if len(places) == len(self.choices):
            return None
        return replace(self.choices[len(places)], allowed=self._allowed.get(places, ()))

    def sample(self, count: int, *, seed: int) -> list[Shape]:
        """Up to `count` different random shapes."""
        return Random(f"space/{seed}").sample(self.shapes, min(count, len(self.shapes)))

    def _lists(self) -> dict[str, list[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(Shape)}

    def _made(self, decisions: Sequence[Any]) -> Shape:
        return Shape(*decisions)

    @cached_property
    def _allowed(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        """Places that lead to a shape, by the places of the decisions before."""
        following: dict[tuple[int, ...], set[int]] = {}
        for places in map(self.encode, self.shapes):
            for decided, place in enumerate(places):
                following.setdefault(places[:decided], set()).add(place)
        return {places: tuple(sorted(found)) for places, found in following.items()}


AnySpace = Space | LayeredSpace
KINDS: dict[str, type[AnySpace]] = {"homogeneous": Space, "layered": LayeredSpace}


def load_space(path: Path | str) -> AnySpace:
    """Read a search space from a YAML file, whose `kind` is `homogeneous` (the default) or `layered`.

    Raises UserError naming the file and the key.
    """
    return validated_kind(KINDS, {"kind": "homogeneous", **read_yaml(path)}, origin=str(path))
