"""A weight-sharing supernet: one BERT of a space's largest sizes, whose slices are the space's architectures.

Cai, Gan, Wang, Zhang, Han: Once-for-All, 2020; Yu et al.: BigNAS, 2020; for BERT: Hou et al.: DynaBERT, 2020, which
orders heads and units by importance first. Here the order follows from the weights alone.
"""

import copy
import logging
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from distilgrid.core.errors import UserError
from distilgrid.models.importance import encoder_order
from distilgrid.models.inheritance import BERT_LAYOUT, inherit_leading
from distilgrid.models.student import spread_layers
from distilgrid.search.estimators.slicing import Whole, ordered, sliced
from distilgrid.search.space import Shape, Space
from distilgrid.tasks.batching import Inputs

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)


class Supernet:
    """A model of the largest sizes of a space, which runs and exports sub-networks.

    `layers` says which layers a shallower sub-network has.
    """

    def __init__(self, model: "PreTrainedModel", space: Space, *, layers: Literal["first", "spread"]) -> None:
        self.model, self.space, self.layers = model, space, layers
        config = model.config
        self.whole = Whole(config.hidden_size, config.num_attention_heads, config.intermediate_size)
        self._skeleton = lru_cache(maxsize=256)(self._new_skeleton)

    @cached_property
    def largest(self) -> Shape:
        """Shape with most parameters."""
        return max(self.space.shapes, key=lambda shape: (shape.parameters, shape))

    @cached_property
    def smallest(self) -> Shape:
        """Shape with fewest parameters."""
        return min(self.space.shapes, key=lambda shape: (shape.parameters, shape))

    def forward(self, shape: Shape, inputs: Inputs, *, training: bool = False) -> Tensor:
        """Logits (B, C) of a sub-network, with dropout in training; gradients go into the supernet's weights."""
        skeleton = self._skeleton(shape).train(training)
        tensors = {**self._weights(shape), **dict(self.model.named_buffers())}
        logits: Tensor = functional_call(skeleton, tensors, (), dict(inputs)).logits
        return logits

    def subnetwork(self, shape: Shape) -> "PreTrainedModel":
        """Separate model with the weights of a sub-network, on the CPU, in evaluation mode."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model = type(self.model)(self._config(shape))
            model.load_state_dict({name: weight.cpu() for name, weight in self._weights(shape).items()})
        return model.eval()

    def _weights(self, shape: Shape) -> dict[str, Tensor]:
        depth = self.model.config.num_hidden_layers
        first = self.layers == "first"
        numbers = list(range(shape.layers)) if first else spread_layers(shape.layers, depth=depth)
        size = Whole(shape.hidden, shape.heads, shape.feed_forward)
        return sliced(dict(self.model.named_parameters()), numbers, size, whole=self.whole)

    def _config(self, shape: Shape) -> "PretrainedConfig":
        config = copy.deepcopy(self.model.config)
        _resize(config, shape.layers, Whole(shape.hidden, shape.heads, shape.feed_forward))
        config.hidden_act = shape.activation
        return config

    def _new_skeleton(self, shape: Shape) -> nn.Module:
        """A sub-network without weights."""
        with torch.device("meta"):
            model: nn.Module = type(self.model)(self._config(shape))
        return model


def make_supernet(
    origin: "PreTrainedModel", space: Space, *, seed: int, layers: Literal["first", "spread"] = "first"
) -> Supernet:
    """Build a supernet from the weights of a pretrained or fine-tuned BERT, ordered by falling importance.

    The width is the next multiple of the space's largest number of heads. Weights that the origin lacks are random.
    Raises UserError unless the origin has BERT's layout.
    """
    config = copy.deepcopy(origin.config)
    if config.model_type not in BERT_LAYOUT:
        raise UserError(f"a supernet needs a BERT as its origin, and this is a '{config.model_type}'")
    heads = max(space.heads)
    size = Whole(-(-max(space.hidden) // heads) * heads, heads, max(space.feed_forward))
    _resize(config, max(space.layers), size)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        model = type(origin)(config)
        _inherit(model, origin, size)
    return Supernet(model, space, layers=layers)


def _inherit(model: "PreTrainedModel", origin: "PreTrainedModel", size: Whole) -> None:
    config, prefix = origin.config, f"{origin.base_model_prefix}."
    weights = {name: weight.detach().cpu() for name, weight in origin.named_parameters()}
    base = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
    order = encoder_order(base, layers=config.num_hidden_layers, heads=config.num_attention_heads)
    weights = ordered(weights, order)
    whole = Whole(config.hidden_size, config.num_attention_heads, config.intermediate_size)
    depth = model.config.num_hidden_layers
    if depth <= config.num_hidden_layers and all(a <= b for a, b in zip(size, whole, strict=True)):
        model.load_state_dict(sliced(weights, list(range(depth)), size, whole=whole))
    else:
        log.warning("the space is larger than the supernet's origin: the rest of its weights begins at random")
        inherit_leading(model, weights)


def _resize(config: "PretrainedConfig", layers: int, size: Whole) -> None:
    config.num_hidden_layers = layers
    config.hidden_size, config.num_attention_heads, config.intermediate_size = size
    config._attn_implementation = "eager"
