"""Classifiers in the form that exporters trace: positional inputs, and logits as the only output.

The last layer of a classifier of texts computes the first token's states alone, the only ones that the head reads. Keys
and values still come from all tokens, so the logits stay the same. The last layer skips queries, output projection and
feed-forward network for L - 1 of L tokens. That is a quarter of all arithmetic in three equal layers, and more than a
third in two. Runtimes cannot find this by themselves, since the choice of the token comes last.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from distilgrid.models.layouts import LAYOUTS, Names

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def traceable(model: "PreTrainedModel", names: Sequence[str]) -> nn.Module:
    """A classifier in evaluation mode that takes inputs in the order of `names` and returns logits (B, ...).

    A model may say itself how (`traceable`). The last layer of others computes the first token alone, where it can
    (`first_token_only`).
    """
    own = getattr(model, "traceable", None)
    return (_TextLogits(model, names) if own is None else own()).eval()


class _TextLogits(nn.Module):
    def __init__(self, model: "PreTrainedModel", names: Sequence[str]) -> None:
        super().__init__()
        self.model = first_token_only(model)
        self.names = list(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip(self.names, inputs, strict=True))
        logits: Tensor = self.model(**named).logits
        return logits


class FirstTokenLayer(nn.Module):
    """A post-norm transformer layer in evaluation mode, for the first token of each row."""

    def __init__(self, layer: nn.Module, names: Names, config: "PretrainedConfig") -> None:
        super().__init__()
        self.projection = layer.get_submodule(names.projection) if names.projection else nn.Identity()
        self.query, self.key, self.value = map(layer.get_submodule, names.qkv)
        self.out, self.norm1 = layer.get_submodule(names.out), layer.get_submodule(names.norm1)
        self.up, self.down = layer.get_submodule(names.up), layer.get_submodule(names.down)
        self.norm2 = layer.get_submodule(names.norm2)
        self.activation = ACT2FN[getattr(config, names.activation)]
        self.heads = config.num_attention_heads

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        """(B, L, H) to (B, 1, H); the mask is additive, (B, 1, 1 or L, L), or None."""
        states = self.projection(hidden_states)
        first = states[:, :1]
        query, key, value = (self._split(one) for one in (self.query(first), self.key(states), self.value(states)))
        scores = torch.matmul(query, key.transpose(2, 3)) * query.shape[-1] ** -0.5  # (B, heads, 1, L)
        if attention_mask is not None:
            scores = scores + attention_mask[:, :, :1]
        mixed = torch.matmul(scores.softmax(dim=-1), value).transpose(1, 2).flatten(2)
        attended = self.norm1(self.out(mixed) + first)
        result: Tensor = self.norm2(self.down(self.activation(self.up(attended))) + attended)
        return result

    def _split(self, states: Tensor) -> Tensor:
        """(B, N, H) to (B, heads, N, H / heads)."""
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def first_token_only(model: "PreTrainedModel") -> "PreTrainedModel":
    """A classifier with the same weights and logits whose last layer is a `FirstTokenLayer`.

    The given model stays as it is. BERT, RoBERTa and DistilBERT classify by the first token; a model whose encoder has
    another layout, or whose head may read other tokens, is returned unchanged.
    """
    names = LAYOUTS.get(model.config.model_type)
    reads_first = any(base.__name__.endswith("ForSequenceClassification") for base in type(model).__mro__)
    if names is None or not reads_first or getattr(model.config, "is_decoder", False):
        return model
    stack = f"{model.base_model_prefix}.{names.stack}.layer"
    number, last = list(model.get_submodule(stack).named_children())[-1]
    layer = FirstTokenLayer(last, names, model.config).train(model.training)
    changed: PreTrainedModel = _with(model, [*stack.split("."), number], layer)
    return changed


def _with(module: nn.Module, path: Sequence[str], part: nn.Module) -> Any:
    """A copy of a module with one part exchanged; it shares all other parts with the original."""
    if not path:
        return part
    twin = copy.copy(module)
    twin._modules = {**module._modules, path[0]: _with(module.get_submodule(path[0]), path[1:], part)}
    return twin
