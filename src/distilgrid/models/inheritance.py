"""Inheritance of an origin's weights by a student of another shape."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from distilgrid.models.importance import LayerOrder, Order, encoder_order

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Places = tuple[Tensor, Tensor]
"""Where along an axis a student's weights come from: places in the student's, and those in the origin's."""

AXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"attention\.self\.(query|key)\.", ("scoring", "hidden")),
    (r"attention\.self\.value\.", ("passing", "hidden")),
    (r"attention\.output\.dense\.", ("hidden", "passing")),
    (r"intermediate\.dense\.", ("feed_forward", "hidden")),
    (r"layer\.\d+\.output\.dense\.", ("hidden", "feed_forward")),
    (r"LayerNorm\.", ("hidden",)),
    (r"(pooler|classifier)\.dense\.", ("hidden", "hidden")),
    (r"embeddings\.\w+_embeddings\.", ("all", "hidden")),
    (r"classifier\.(out_proj\.)?(weight|bias)$", ("all", "hidden")),
)
"""What the axes of a weight count, by its name; the first pattern that fits. A bias has the first axis alone."""


def inherit_leading(model: "PreTrainedModel", source: Mapping[str, Tensor]) -> None:
    """Copy the leading rows and columns of equally named source weights, up to the smaller shape.

    Layers keep their numbers, so a shallower model inherits the first ones, and a narrower one the first units.
    Projections between layers of different widths pass on the units that both have.
    """
    with torch.no_grad():
        for name, target in model.state_dict().items():
            if name in source and source[name].dim() == target.dim():
                overlap = tuple(slice(0, min(a, b)) for a, b in zip(target.shape, source[name].shape, strict=True))
                target[overlap] = source[name][overlap]
    _pass_on(model, torch.arange(0))


def inherit_important(model: "PreTrainedModel", source: Mapping[str, Tensor], *, layers: int, heads: int) -> None:
    """Copy the most important heads, feed-forward units and hidden units of equally named source weights.

    Kept parts stay in order, so a model of the source's shape gets identical weights. A narrower head keeps its most
    important units. A wider head takes further units from the most important unused heads. Other weights stay
    unchanged. The student has BERT's names; `layers` and `heads` per layer count the source's, whose layers are
    numbered as the student's.
    """
    prefix = f"{model.base_model_prefix}."
    base = {name.removeprefix(prefix): value for name, value in source.items() if name.startswith(prefix)}
    order = encoder_order(base, layers=layers, heads=heads)
    with torch.no_grad():
        for name, target in model.state_dict().items():
            if name in source:
                _copy(name, target, source[name], order, model.config.num_attention_heads)
    _pass_on(model, order.hidden)


def _copy(name: str, target: Tensor, source: Tensor, order: Order, heads: int) -> None:
    kinds = next(kinds for pattern, kinds in AXES if re.search(pattern, name))
    numbered = re.search(r"\.layer\.(\d+)\.", name)
    layer = order.layers[int(numbered[1])] if numbered else None
    axes = [
        _places(kind, order.hidden, layer, size, available, heads)
        for kind, size, available in zip(kinds, target.shape, source.shape, strict=False)
    ]
    there, here = ([axis[side] for axis in axes] for side in (0, 1))
    target[torch.meshgrid(*there, indexing="ij")] = source[torch.meshgrid(*here, indexing="ij")]


def _places(kind: str, hidden: Tensor, layer: LayerOrder | None, size: int, available: int, heads: int) -> Places:
    """Positions on one axis: `size` in the student, `available` in the source."""
    if kind == "all":
        both = torch.arange(min(size, available))
        return both, both
    if kind == "hidden":
        return _kept(hidden, size)
    assert layer is not None, "only layers have heads and feed-forward units"
    if kind == "feed_forward":
        return _kept(layer.feed_forward, size)
    units: Tensor = getattr(layer, kind)
    return _head_places(layer.heads, units, heads=heads, width=size // heads)


def _kept(order: Tensor, count: int) -> Places:
    """The first positions of an order, in their original order."""
    kept = order[:count].sort().values
    return torch.arange(len(kept)), kept


def _head_places(order: Tensor, units: Tensor, *, heads: int, width: int) -> Places:
    """Units of a student's heads.

    `order` (A,) ranks the source's heads and `units` (A, d) their units; `heads` and `width` are the student's.
    """
    chosen, others = order[:heads].sort().values, order[heads:]
    there, here = [], []
    for number, head in enumerate(chosen.tolist()):
        filled = [_kept(units[each], width)[1] for each in (head, *others[number::heads].tolist())]
        found = torch.cat(filled)[:width]
        here.append(found)
        there.append(number * width + torch.arange(len(found)))
    return torch.cat(there), torch.cat(here)


def _pass_on(model: "PreTrainedModel", order: Tensor) -> None:
    """Let projections between layers pass on the units that both sides keep; new units start as zeros.

    `order` (H,) ranks the source's hidden units; units after them are on both sides. Equal widths have no projections.
    """
    widths = getattr(model.config, "hidden_sizes", ())
    with torch.no_grad():
        for number, (before, after) in enumerate(pairwise(widths), start=1):
            if before == after:
                continue
            projection = model.get_submodule(f"{model.base_model_prefix}.encoder.layer.{number}.projection")
            assert isinstance(projection, nn.Linear)
            matching = _units(order, after)[:, None] == _units(order, before)[None, :]  # (after, before)
            projection.weight.copy_(matching.float())
            projection.bias.zero_()


def _units(order: Tensor, width: int) -> Tensor:
    """(width,) the source's units in a layer; units that the source lacks continue the numbering."""
    kept = order[:width].sort().values
    return torch.cat([kept, torch.arange(len(order), max(len(order), width))])[:width]
