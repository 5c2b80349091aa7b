"""A weight-sharing supernet: one BERT of a space's largest sizes, whose slices are the space's architectures.

Cai, Gan, Wang, Zhang, Han: Once-for-All, 2020; Yu et al.: BigNAS, 2020; for BERT: Hou et al.: DynaBERT, 2020, which
orders heads and units by importance first. Here the order follows from the weights alone (models/importance.py), so
slices keep the most important units.

A slice has first or spread layers, leading heads and units. Its head j takes the leading units of head j of the whole.
Wider heads are filled up with units of the remaining heads, in order.
"""

import copy
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import astuple
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from distilgrid.models.importance import Order, encoder_order
from distilgrid.models.inheritance import AXES, inherit_leading
from distilgrid.models.shapes import spread_layers
from distilgrid.search.architecture import Shape, shape_of
from distilgrid.search.estimators.registry import check_layout
from distilgrid.search.space import Space
from distilgrid.tasks.batching import Inputs

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

Chosen = Callable[[str, str], Tensor | int | None]
"""Entries to take, by kind of axis and name of weight: their places, a number of leading ones, or None for all."""
NUMBER = re.compile(r"\.layer\.(\d+)\.")
log = logging.getLogger(__name__)


class Supernet:
    """A model of the largest sizes of a space, which runs and exports sub-networks.

    `layers` says which layers a shallower sub-network has.
    """

    def __init__(self, model: "PreTrainedModel", space: Space, *, layers: Literal["first", "spread"]) -> None:
        self.model, self.space, self.layers = model, space, layers
        self.whole = shape_of(model.config.to_dict())
        self._skeleton = lru_cache(maxsize=256)(self._new_skeleton)

    @cached_property
    def largest(self) -> Shape:
        """Shape with most parameters and the usual activation; of several, one with most heads."""
        return max(self._usual_shapes, key=lambda shape: (shape.parameters, shape.heads))

    @cached_property
    def smallest(self) -> Shape:
        """Shape with fewest parameters and the usual activation; of several, one with fewest heads."""
        return min(self._usual_shapes, key=lambda shape: (shape.parameters, shape.heads))

    @cached_property
    def _usual_shapes(self) -> list[Shape]:
        """Shapes with the activation of the origin, for which the weights were made, else the space's first one."""
        listed = self.space.activation
        usual = self.whole.activation if self.whole.activation in listed else listed[0]
        return [shape for shape in self.space.shapes if shape.activation == usual]

    def forward(self, shape: Shape, inputs: Inputs, *, training: bool = False) -> Tensor:
        """Logits (B, C) of a sub-network, with dropout in training; gradients go into the supernet's weights."""
        skeleton = self._skeleton(shape).train(training)
        tensors = {**self._weights(shape), **dict(self.model.named_buffers())}
        logits: Tensor = functional_call(skeleton, tensors, (), dict(inputs)).logits
        return logits

    def subnetwork(self, shape: Shape) -> "PreTrainedModel":
        """Separate model with the weights of a sub-network, on the CPU, in evaluation mode."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model = type(self.model)(_resized(self.model.config, shape))
            model.load_state_dict({name: weight.cpu() for name, weight in self._weights(shape).items()})
        return model.eval()

    def _weights(self, shape: Shape) -> dict[str, Tensor]:
        first = self.layers == "first"
        numbers = list(range(shape.layers)) if first else spread_layers(shape.layers, depth=self.whole.layers)
        return sliced(dict(self.model.named_parameters()), numbers, shape, whole=self.whole)

    def _new_skeleton(self, shape: Shape) -> nn.Module:
        """A sub-network without weights."""
        with torch.device("meta"):
            model: nn.Module = type(self.model)(_resized(self.model.config, shape))
        return model


def make_supernet(
    origin: "PreTrainedModel", space: Space, *, seed: int, layers: Literal["first", "spread"] = "first"
) -> Supernet:
    """Build a supernet from the weights of a pretrained or fine-tuned BERT, ordered by falling importance.

    The width is the next multiple of the space's largest number of heads. Weights that the origin lacks are random.
    Raises UserError unless the origin has BERT's layout.
    """
    config, heads = origin.config, max(space.heads)
    check_layout(config.model_type)
    width = -(-max(space.hidden) // heads) * heads
    size = Shape(max(space.layers), width, heads, max(space.feed_forward), config.hidden_act)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        model = type(origin)(_resized(config, size))
        _inherit(model, origin, size)
    return Supernet(model, space, layers=layers)


def _inherit(model: "PreTrainedModel", origin: "PreTrainedModel", size: Shape) -> None:
    whole, prefix = shape_of(origin.config.to_dict()), f"{origin.base_model_prefix}."
    weights = {name: weight.detach().cpu() for name, weight in origin.named_parameters()}
    base = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
    weights = ordered(weights, encoder_order(base, layers=whole.layers, heads=whole.heads))
    if all(own <= other for own, other in zip(astuple(size)[:-1], astuple(whole)[:-1], strict=True)):
        model.load_state_dict(sliced(weights, list(range(size.layers)), size, whole=whole))
    else:
        log.warning("the space is larger than the supernet's origin: the rest of its weights begins at random")
        inherit_leading(model, weights)


def _resized(config: "PretrainedConfig", size: Shape) -> "PretrainedConfig":
    config = copy.deepcopy(config)
    config.num_hidden_layers, config.hidden_size, config.num_attention_heads = size.layers, size.hidden, size.heads
    config.intermediate_size, config.hidden_act = size.feed_forward, size.activation
    config._attn_implementation = "eager"
    return config


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


def sliced(weights: Mapping[str, Tensor], layers: list[int], size: Shape, *, whole: Shape) -> dict[str, Tensor]:
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


def head_places(size: Shape, whole: Shape) -> Tensor:
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
