"""Sub-networks of a BERT as slices of its weights: first or spread layers, leading heads and units.

Head j of a sub-network takes the leading units of the whole's head j. Where its heads are wider than the whole's, they
are filled up with the heads that are left over, in order. The whole is ordered by importance, so slices keep what
matters most (models/importance.py says by which measure).
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from distilgrid.models.importance import Order
from distilgrid.models.inheritance import AXES

Chosen = Callable[[str, str], Tensor | int | None]
"""By what an axis counts and the weight's name: the entries to take, so many leading ones, or None for all."""
NUMBER = re.compile(r"\.layer\.(\d+)\.")


class Whole(NamedTuple):
    """Sizes of a model that is sliced, or of a slice of it."""

    hidden: int
    heads: int
    feed_forward: int


def ordered(weights: Mapping[str, Tensor], order: Order) -> dict[str, Tensor]:
    """The same model with its heads and units in an order: it computes the same function."""

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
    """The weights of a sub-network, by its own names, as contiguous tensors that gradients pass through.

    Args:
        weights: of the whole model.
        layers: numbers of its layers that the sub-network has.
        size: the sub-network's.
        whole: the whole model's; no size of the sub-network is larger.
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
    """(hidden of the sub-network,) the rows of the whole's query, key and value matrices that it has."""
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
    """A weight's entries at the places of each of its axes."""
    kinds = next(kinds for pattern, kinds in AXES if re.search(pattern, name))
    for axis, kind in zip(range(weight.dim()), kinds, strict=False):
        chosen = places(kind, name)
        if isinstance(chosen, int):
            weight = weight.narrow(axis, 0, chosen)
        elif chosen is not None:
            weight = weight.index_select(axis, chosen.to(weight.device))
    return weight.contiguous()
