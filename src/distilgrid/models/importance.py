"""What of a BERT's weights matters most, from the weights alone: an order of heads, feed-forward and hidden units.

Heads and feed-forward units are ordered as HAT (Wang et al. 2020) orders what a narrower sub-network keeps, by the size
of their weights; Michel et al. (2019) showed that many heads can go. The measures here, all of them L2 norms:

- a head: its columns of the attention's output matrix, and a unit of its values likewise: what leaves it.
- a unit of a head's queries and keys: its row of the query matrix times its row of the key matrix, for the score is the
  sum of such products.
- a feed-forward unit: its column of the second matrix: what leaves it.
- a hidden unit: over all layer norms, the norm's scale of it (its standard deviation in the residual stream) times its
  columns of the matrices that read it there. One order holds for the whole stream, since residual connections add
  what layers write into a unit to what was there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

QKV = ("attention.self.query", "attention.self.key", "attention.self.value")


@dataclass(frozen=True)
class LayerOrder:
    """A layer's parts, the most important first.

    Attributes:
        heads: (A,) numbers of heads.
        scoring: (A, d) for each head its units of queries and keys, as rows of these matrices.
        passing: (A, d) for each head its units of values, as rows of the value matrix.
        feed_forward: (F,) numbers of units.
    """

    heads: Tensor
    scoring: Tensor
    passing: Tensor
    feed_forward: Tensor


@dataclass(frozen=True)
class Order:
    """An encoder's parts, the most important first.

    Attributes:
        hidden: (H,) numbers of hidden units, one order for all layers.
        layers: the parts of each layer.
    """

    hidden: Tensor
    layers: list[LayerOrder]


def encoder_order(weights: Mapping[str, Tensor], *, layers: int, heads: int) -> Order:
    """The order of an encoder's parts.

    Args:
        weights: below the base model, by BERT's names: `embeddings.LayerNorm.weight`, `encoder.layer.0. ...`.
        layers: how many there are.
        heads: of each layer.
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
    """(H,) squares: of each norm's scale, times the columns that read what it gives. Nothing here reads the last's."""
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
    """Places along the last axis by falling value; of equal ones the first comes first."""
    return torch.argsort(values, dim=-1, descending=True, stable=True)
