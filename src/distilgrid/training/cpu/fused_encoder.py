"""Encoder stacks with a written-out backward pass, which replace a model's encoder during training."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from distilgrid.models.layouts import LAYOUTS, Names
from distilgrid.training.cpu.fused_layer import Dense, FusedLayer, Norm
from distilgrid.training.cpu.randomness import DropoutMasks
from distilgrid.training.cpu.workspace import Workspaces
from distilgrid.training.weights import FlatParameters

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Rows of a matrix product come in multiples of this: oneDNN makes a kernel for each new shape, which takes as long as
# the product itself.
ROUND = 64
GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


class FusedEncoder(nn.Module):
    """Replacement of a model's encoder; `layer_states` holds the states after each layer of the last call: (B, L, H).

    `projections` are the modules before each layer, for autograd; `spaces` is the layers' memory, `dtype` the states'
    precision.
    """

    def __init__(
        self, layers: list[FusedLayer], projections: list[nn.Module], spaces: Workspaces, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.layers, self.projections, self.spaces, self.dtype = layers, projections, spaces, dtype
        self.layer_states: list[Tensor] = []

    def forward(self, hidden_states: Tensor | None = None, attention_mask: Tensor | None = None, **_: Any) -> Any:
        """Pass (B, L, H) through all layers. The additive mask is (B, 1, 1, L) or None."""
        assert hidden_states is not None
        B, L, H = hidden_states.shape
        states = hidden_states.to(self.dtype).reshape(B * L, H)
        states = F.pad(states, (0, 0, 0, -len(states) % ROUND))
        bias = None if attention_mask is None else attention_mask.float()
        self.layer_states = []
        self.spaces.lasting.reset()  # the previous batch's backward pass is over
        for layer, projection in zip(self.layers, self.projections, strict=True):
            states = layer(projection(states), bias, batch=B, length=L, training=self.training)
            self.layer_states.append(states[: B * L].view(B, L, -1))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=self.layer_states[-1])


def fusible(model: "PreTrainedModel") -> bool:
    """Whether `fuse` can replace this model's encoder: post-norm, GELU, on a CPU, all weights trained."""
    config = model.config
    names = LAYOUTS.get(config.model_type)
    return (
        names is not None
        and getattr(config, names.activation) in GELU
        and not getattr(config, "is_decoder", False)
        and all(p.requires_grad and p.device.type == "cpu" for p in model.parameters())
    )


def fuse(model: "PreTrainedModel", flat: FlatParameters, masks: DropoutMasks) -> nn.Module:
    """Replace the encoder and return the original, for `unfuse`."""
    names = LAYOUTS[model.config.model_type]
    base = model.base_model
    original = base.get_submodule(names.stack)
    stack = original.get_submodule("layer")
    assert isinstance(stack, nn.ModuleList)
    spaces = Workspaces()
    layers = [_fused_layer(layer, names, model.config, flat, masks, spaces) for layer in stack]
    projections = [layer.get_submodule(names.projection) if names.projection else nn.Identity() for layer in stack]
    setattr(base, names.stack, FusedEncoder(layers, projections, spaces, flat.compute.dtype).train(model.training))
    return original


def unfuse(model: "PreTrainedModel", original: nn.Module) -> nn.Module:
    """Put the original encoder back and return its replacement."""
    name = LAYOUTS[model.config.model_type].stack
    replaced = model.base_model.get_submodule(name)
    setattr(model.base_model, name, original)
    return replaced


def _fused_layer(
    layer: nn.Module,
    names: Names,
    config: "PretrainedConfig",
    flat: FlatParameters,
    masks: DropoutMasks,
    spaces: Workspaces,
) -> FusedLayer:
    def dense(*parts: str) -> Dense:
        weights = [layer.get_parameter(f"{part}.weight") for part in parts]
        return Dense(flat.views(weights), flat.views([layer.get_parameter(f"{part}.bias") for part in parts]))

    def norm(name: str) -> Norm:
        module = layer.get_submodule(name)
        assert isinstance(module, nn.LayerNorm)
        return Norm(flat.views([module.weight]), flat.views([module.bias]), module.eps)

    return FusedLayer(
        qkv=dense(*names.qkv),
        out=dense(names.out),
        up=dense(names.up),
        down=dense(names.down),
        norm1=norm(names.norm1),
        norm2=norm(names.norm2),
        heads=config.num_attention_heads,
        gelu=GELU[getattr(config, names.activation)],
        hidden_dropout=getattr(config, names.hidden_dropout),
        attention_dropout=getattr(config, names.attention_dropout),
        flat=flat,
        masks=masks,
        spaces=spaces,
    )
