"""Sub-networks of a BERT as slices of its weights: first or spread layers, leading heads and units.

Head j of a sub-network takes the leading units of head j of the whole. Wider heads are filled up with units of the
remaining heads, in order. The whole is ordered by importance (models/importance.py), so slices keep the most important
units.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from distilgrid.models.importance import Order
from distilgrid.models.inheritance import AXES

Chosen = Callable[[str, str], Tensor | int | None]
"""Entries to take, by kind of axis and name of weight: their places, a number of leading ones, or None for all."""
NUMBER = re.compile(r"\.layer\.(\d+)\.")


class Whole(NamedTuple):
    """Sizes of a model that is sliced, or of a slice."""

    hidden: int
    heads: int
    feed_forward: int


def ordered(weights: Mapping[str, Tensor], order: Order) -> dict[str, Tensor]:
    """Weights with heads and units in another order; the model computes the same function."""

    def places(kind: str, name: str) -> Tensor | int | None:
        if kind in ("all", "hidden"):
            return order.hidden if kind == "hidden" else None
        layer = order.layers[_number(name)]
        if kind == "feed_forward":
            return layer.feed_forward
        units: Tensor = getattr(layer, kind)
        return units[layer.heads].flatten()

    return {name: _taken(name, weight, places) for name, weight in weights.items()}


def sliced(weights: Mapping[str, Tensor], layers: list[int], size: Whole, *, whole: Whole) -> dict[str, Tensor]:
    """Weights of a sub-network, under its names, as contiguous tensors that gradients pass through.

    `layers` are numbers of layers of the whole model; no value of `size` exceeds that of `whole`.
    """
    heads = head_places(size, whole)

    def places(kind: str, name: str) -> Tensor | int | None:
        if kind == "all":
            return None
        return {"hidden": size.hidden, "feed_forward": size.feed_forward}.get(kind, heads)

    found = {}
    for name, weight in weights.items():
        numbered = NUMBER.search(name)
        if numbered is None:
            found[name] = _taken(name, weight, places)
            continue
        for mine in (place for place, number in enumerate(layers) if number == int(numbered[1])):
            own = f"{name[: numbered.start()]}.layer.{mine}.{name[numbered.end() :]}"
            found[own] = _taken(name, weight, places)
    return found


def head_places(size: Whole, whole: Whole) -> Tensor:
    """Rows (H) of the whole's query, key and value matrices that a sub-network of width H has."""
    width, own = whole.hidden // whole.heads, size.hidden // size.heads
    rows = torch.arange(whole.hidden).view(whole.heads, width)
    first, spare = rows[: size.heads, :own], rows[size.heads :].flatten()
    missing = max(0, own - width)
    return torch.cat([first, spare[: size.heads * missing].view(size.heads, missing)], dim=1).flatten()


def _number(name: str) -> int:
    numbered = NUMBER.search(name)
    assert numbered is not None, "only layers have heads and feed-forward units"
    return int(numbered[1])


def _taken(name: str, weight: Tensor, places: Chosen) -> Tensor:
    """Entries of a weight at the places of each axis."""
    kinds = next(kinds for pattern, kinds in AXES if re.search(pattern, name))
    for axis, kind in zip(range(weight.dim()), kinds, strict=False):
        chosen = places(kind, name)
        if isinstance(chosen, int):
            weight = weight.narrow(axis, 0, chosen)
        elif chosen is not None:
            weight = weight.index_select(axis, chosen.to(weight.device))
    return weight.contiguous()
