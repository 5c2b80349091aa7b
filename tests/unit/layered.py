"""Tiny models whose layers differ in width, and equal BERTs beside them."""

from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from distilgrid.models.layered_bert import LayeredBert, LayeredBertConfig

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "max_position_embeddings": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_labels": 3,
}
HIDDEN, FEED_FORWARD = (32, 16, 16, 24), (48, 8, 24, 40)


def layered(
    hidden: tuple[int, ...] = HIDDEN, feed_forward: tuple[int, ...] = FEED_FORWARD, *, seed: int = 0, **changes: Any
) -> PreTrainedModel:
    """A classifier with these layers."""
    torch.manual_seed(seed)
    values = BertConfig(**{**SIZES, **changes}).to_dict()
    config = LayeredBertConfig.of(values, hidden=hidden, feed_forward=feed_forward)
    return moved(LayeredBert._from_config(config, attn_implementation="eager"))


def bert(*, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A plain BERT classifier."""
    torch.manual_seed(seed)
    config = BertConfig(**{**SIZES, **changes})
    return moved(BertForSequenceClassification._from_config(config, attn_implementation="eager"))


def moved(model: PreTrainedModel) -> PreTrainedModel:
    """Weights of the initialisation are so small that attention would hardly matter."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def inputs(batch: int = 3, length: int = 7) -> dict[str, torch.Tensor]:
    """Random tokens of two kinds; the last row is padded from its middle on."""
    ids = torch.randint(5, 40, (batch, length))
    mask = torch.ones_like(ids)
    mask[-1, (length + 1) // 2 :] = 0
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": (torch.arange(length) > 3).long().expand(batch, -1),
    }
