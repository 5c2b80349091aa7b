"""Importance order of a BERT's heads, feed-forward units and hidden units, from its weights alone.

Heads and feed-forward units follow HAT (Wang et al. 2020), which keeps those with the largest weights; Michel et al.
(2019) showed that many heads are redundant. All measures are L2 norms:

- a head, and a unit of its values: the columns of the attention's output matrix, through which they leave.
- a unit of a head's queries and keys: its row of the query matrix times its row of the key matrix, since the score is
  the sum of such products.
- a feed-forward unit: its column of the second matrix.
- a hidden unit: summed over layer norms, the norm's scale times the columns of the matrices that read the unit there.
  One order serves the whole stream, because residual connections add to each unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

QKV = ("attention.self.query", "attention.self.key", "attention.self.value")


@dataclass(frozen=True)
class LayerOrder:
    """Parts of a layer, the most important first."""

    heads: Tensor  # (A,) numbers of heads
    scoring: Tensor  # (A, d) units of queries and keys of each head, as rows of these matrices
    passing: Tensor  # (A, d) units of values of each head, as rows of the value matrix
    feed_forward: Tensor  # (F,) numbers of units


@dataclass(frozen=True)
class Order:
    """Parts of an encoder, the most important first: hidden units (H,) with one order for all layers, and layers."""

    hidden: Tensor
    layers: list[LayerOrder]


def encoder_order(weights: Mapping[str, Tensor], *, layers: int, heads: int) -> Order:
    """Order the parts of an encoder with `layers` layers of `heads` heads each.

    Weights have BERT's names below the base model: `embeddings.LayerNorm.weight`, `encoder.layer.0. ...`.
    """
    parts = [_below(weights, f"encoder.layer.{number}.") for number in range(layers)]
    hidden = _hidden_importance(weights["embeddings.LayerNorm.weight"], parts)
    return Order(_falling(hidden), [_layer_order(part, heads) for part in parts])


def _layer_order(weights: Mapping[str, Tensor], heads: int) -> LayerOrder:
    leaving = weights["attention.output.dense.weight"]  # (H, A * d)
    units = leaving.square().sum(0).view(heads, -1)  # (A, d)
    query, key = (weights[f"{name}.weight"].norm(dim=1).view(heads, -1) for name in QKV[:2])
    start = torch.arange(heads)[:, None] * units.shape[1]
    return LayerOrder(
        heads=_falling(units.sum(1)),
        scoring=_falling(query * key) + start,
        passing=_falling(units) + start,
        feed_forward=_falling(weights["output.dense.weight"].norm(dim=0)),
    )


def _hidden_importance(embedded: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """(H,) squares: each norm's scale times the columns that read its output. No column here reads the last norm."""
    scale, total = embedded, torch.zeros_like(embedded)
    for weights in layers:
        total += scale.square() * sum((weights[f"{name}.weight"].square().sum(0) for name in QKV), torch.zeros(()))
        inner = weights["attention.output.LayerNorm.weight"]
        total += inner.square() * weights["intermediate.dense.weight"].square().sum(0)
        scale = weights["output.LayerNorm.weight"]
    return total


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _falling(values: Tensor) -> Tensor:
    """Positions along the last axis by falling value, ties in their original order."""
    return torch.argsort(values, dim=-1, descending=True, stable=True)
