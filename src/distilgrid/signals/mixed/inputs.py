"""Mixed samples as a model's inputs and as targets."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.signals.mixed.mixing import Mixtures
from distilgrid.tasks.batching import Encodings, Inputs
from distilgrid.tasks.kind import Losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def mixed_inputs(model: "PreTrainedModel", encodings: Encodings, mixtures: Mixtures, *, token_types: str) -> Inputs:
    """Inputs of mixed samples through a model's own embedding table, for `forward`.

    Both rows are padded to the longer one. A position counts if a row with a weight above zero has a token there.
    Positions and layer norm are those of the model, as for any input.

    Args:
        model: the model whose word and token-type embeddings are mixed.
        encodings: rows, tokenised for the model.
        mixtures: samples.
        token_types: `mix`, or `keep` those of the first row.

    Returns:
        `inputs_embeds` (M, L, H), `attention_mask` (M, L) and, for models with segments, `token_type_ids` (M, L).
    """
    length = int(mixtures.lengths(encodings.lengths).max())
    first, second = (encodings.batch(rows.tolist(), length=length) for rows in (mixtures.first, mixtures.second))
    weight = torch.from_numpy(mixtures.weight)[:, None]  # (M, 1)
    there = (weight > 0) & (first["attention_mask"] > 0) | (weight < 1) & (second["attention_mask"] > 0)
    inputs = {
        "inputs_embeds": _mixed(model.get_input_embeddings(), first["input_ids"], second["input_ids"], weight),
        "attention_mask": there.long(),
    }
    if "token_type_ids" not in first:
        return inputs
    kinds = (first["token_type_ids"], second["token_type_ids"])
    if token_types == "mix" and any(bool(kind.any()) for kind in kinds):
        inputs["inputs_embeds"] = inputs["inputs_embeds"] + _mixed_types(model, *kinds, weight)
        kinds = (torch.zeros_like(kinds[0]), kinds[1])
    return inputs | {"token_type_ids": kinds[0]}


def mixed_targets(labels: Tensor, mixtures: Mixtures, *, losses: Losses, outputs: int) -> Tensor:
    """Mixed labels: (M, C) probabilities, or (M,) numbers; `labels` are (N, ...) as the task kind makes them."""
    labels = losses.mixable(labels, outputs=outputs)
    weight = torch.from_numpy(mixtures.weight)
    first, second = labels[mixtures.first], labels[mixtures.second]
    return torch.lerp(second, first, weight if labels.dim() == 1 else weight[:, None])


def _mixed(table: torch.nn.Module, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Mixed embeddings (M, L, H) of two ids (M, L)."""
    place = next(table.parameters()).device
    mixed: Tensor = torch.lerp(table(second.to(place)), table(first.to(place)), weight[:, :, None].to(place))
    return mixed


def _mixed_types(model: "PreTrainedModel", first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Mixed token-type embeddings (M, L, H), relative to type 0, which the model adds itself."""
    table = getattr(getattr(model.base_model, "embeddings", None), "token_type_embeddings", None)
    if table is None:
        kind = model.config.model_type
        raise UserError(f"mixkd: found no token-type embeddings in a '{kind}' model; set mixup.token_types: keep")
    return _mixed(table, first, second, weight) - table.weight[0]
