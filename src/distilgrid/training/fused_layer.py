"""A post-norm transformer layer (Vaswani et al. 2017, as in BERT) whose backward pass is written out.

The same mathematics as the module it stands for, with what autograd cannot know: query, key and value are one matrix
product, activations stay in the precision of the products, weights are cast once per step, gradients of weights go
straight to where the optimiser reads them. Softmax, layer-norm statistics and all weight gradients' sums are fp32.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distilgrid.training.flat import FlatParameters, Views
from distilgrid.training.randomness import DropoutMasks

aten = torch.ops.aten


@dataclass(frozen=True)
class Dense:
    """A linear map: weight (O, I) and bias (O,)."""

    weight: Views
    bias: Views

    def __call__(self, states: Tensor) -> Tensor:
        """(N, I) to (N, O)."""
        return torch.addmm(self.bias.compute, states, self.weight.compute.t())


@dataclass(frozen=True)
class Norm:
    """A layer norm: weight and bias (H,)."""

    weight: Views
    bias: Views
    eps: float

    def __call__(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The normalised states, and the means and reciprocal deviations that the backward pass needs."""
        shape = [states.shape[-1]]
        normed: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(
            states, shape, self.weight.master, self.bias.master, self.eps
        )
        return normed


@dataclass(frozen=True)
class FusedLayer:
    """One layer's weights and settings; call it on (B, L, H) in the precision of the products.

    Attributes:
        qkv, out, up, down: linear maps of attention and feed-forward network.
        norm1, norm2: after each of the two.
        heads: attention heads.
        gelu: "none" for the exact form, "tanh" for the approximation.
        hidden_dropout, attention_dropout: rates, in training.
    """

    qkv: Dense
    out: Dense
    up: Dense
    down: Dense
    norm1: Norm
    norm2: Norm
    heads: int
    gelu: str
    hidden_dropout: float
    attention_dropout: float
    flat: FlatParameters
    masks: DropoutMasks

    def __call__(self, states: Tensor, bias: Tensor | None, *, training: bool) -> Tensor:
        """(B, L, H) to (B, L, H); the bias (B, 1, 1, L), in fp32, is added to attention scores; None adds nothing."""
        result: Tensor = _Function.apply(states, bias, self, training)
        return result


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, bias: Tensor | None, layer: FusedLayer, training: bool) -> Tensor:
        B, L, H = states.shape
        x = states.reshape(B * L, H)
        q, k, v = _split_heads(layer.qkv(x), B, layer.heads)  # each (B * heads, L, d)
        probs = _attention(q, k, bias)
        kept = _keep(layer, probs, layer.attention_dropout, training, dtype=x.dtype)
        used = probs if kept is None else probs * kept
        context = _merge_heads(torch.bmm(used, v), B)
        if kept is not None:
            context *= layer.masks.scale(layer.attention_dropout)
        after1, kept1, sum1, normed1 = _residual(layer, layer.norm1, x, layer.out(context), training)
        wide = layer.up(after1)
        active = aten.gelu(wide, approximate=layer.gelu)
        after2, kept2, sum2, normed2 = _residual(layer, layer.norm2, after1, layer.down(active), training)
        ctx.save_for_backward(x, q, k, v, probs, context, sum1, *normed1, after1, wide, active, sum2, *normed2)
        ctx.masks, ctx.layer, ctx.batch = (kept, kept1, kept2), layer, B
        return after2.view(B, L, H)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        layer: FusedLayer = ctx.layer
        x, q, k, v, probs, context, sum1, mean1, rstd1, after1, wide, active, sum2, mean2, rstd2 = ctx.saved_tensors
        kept, kept1, kept2 = ctx.masks
        d_after2 = grads[0].reshape(x.shape)
        d_sum2 = _norm_backward(layer, layer.norm2, d_after2, sum2, mean2, rstd2)
        d_active = _dense_backward(layer, layer.down, _dropped(layer, d_sum2, kept2), active)
        d_wide = aten.gelu_backward(d_active, wide, approximate=layer.gelu)
        d_after1 = _dense_backward(layer, layer.up, d_wide, after1, plus=d_sum2)
        d_sum1 = _norm_backward(layer, layer.norm1, d_after1, sum1, mean1, rstd1)
        d_context = _dense_backward(layer, layer.out, _dropped(layer, d_sum1, kept1), context)
        d_qkv = _attention_backward(layer, d_context, q, k, v, probs, kept, ctx.batch)
        d_x = _dense_backward(layer, layer.qkv, d_qkv, x, plus=d_sum1)
        return d_x.view(grads[0].shape), None, None, None


def _split_heads(qkv: Tensor, batch: int, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B * L, 3 * H) to query, key and value of (B * heads, L, d) each."""
    width = qkv.shape[1] // (3 * heads)
    parts = qkv.view(batch, -1, 3, heads, width).permute(2, 0, 3, 1, 4).contiguous()
    q, k, v = parts.view(3, batch * heads, -1, width).unbind(0)
    return q, k, v


def _merge_heads(states: Tensor, batch: int) -> Tensor:
    """(B * heads, L, d) to (B * L, H)."""
    rows, length, width = states.shape
    return states.view(batch, -1, length, width).transpose(1, 2).reshape(batch * length, rows // batch * width)


def _attention(q: Tensor, k: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias), computed in fp32: (B * heads, L, L)."""
    scores = torch.bmm(q, k.transpose(1, 2)).float().mul_(q.shape[-1] ** -0.5)
    if bias is not None:
        scores.view(bias.shape[0], -1, *scores.shape[1:]).add_(bias)
    return torch.softmax(scores, dim=-1).to(q.dtype)


def _attention_backward(
    layer: FusedLayer,
    d_context: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    probs: Tensor,
    kept: Tensor | None,
    batch: int,
) -> Tensor:
    """The gradient of (B * L, 3 * H) query, key and value."""
    heads, (_, length, width) = layer.heads, q.shape
    d_out = d_context.view(batch, length, heads, width).transpose(1, 2).reshape(q.shape)
    used = probs
    if kept is not None:
        d_out = d_out * layer.masks.scale(layer.attention_dropout)
        used = used * kept
    d_used = torch.bmm(d_out, v.transpose(1, 2))
    if kept is not None:
        d_used *= kept
    d_scores = torch._softmax_backward_data(d_used.float(), probs.float(), -1, torch.float32)
    d_scores = d_scores.mul_(width**-0.5).to(q.dtype)
    parts = q.new_empty(batch, length, 3, heads, width)
    products = (torch.bmm(d_scores, k), torch.bmm(d_scores.transpose(1, 2), q), torch.bmm(used.transpose(1, 2), d_out))
    for i, product in enumerate(products):
        parts[:, :, i].copy_(product.view(batch, heads, length, width).transpose(1, 2))
    return parts.view(batch * length, -1)


def _keep(layer: FusedLayer, like: Tensor, rate: float, training: bool, *, dtype: torch.dtype) -> Tensor | None:
    return layer.masks.keep(tuple(like.shape), rate=rate, dtype=dtype) if training and rate > 0 else None


def _residual(
    layer: FusedLayer, norm: Norm, residual: Tensor, update: Tensor, training: bool
) -> tuple[Tensor, Tensor | None, Tensor, tuple[Tensor, Tensor]]:
    """norm(residual + dropout(update)), and what the backward pass needs: mask, sum, the norm's statistics."""
    kept = _keep(layer, update, layer.hidden_dropout, training, dtype=update.dtype)
    if kept is None:
        total = residual + update
    else:
        total = torch.addcmul(residual, update, kept, value=layer.masks.scale(layer.hidden_dropout))
    normed, mean, rstd = norm(total)
    return normed, kept, total, (mean, rstd)


def _dropped(layer: FusedLayer, grad: Tensor, kept: Tensor | None) -> Tensor:
    return grad if kept is None else (grad * kept).mul_(layer.masks.scale(layer.hidden_dropout))


def _norm_backward(layer: FusedLayer, norm: Norm, grad: Tensor, total: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    weight, bias = norm.weight, norm.bias
    d_total, d_weight, d_bias = aten.native_layer_norm_backward(
        grad, total, [total.shape[-1]], mean, rstd, weight.master, bias.master, [True, True, True]
    )
    _collect(layer, weight, d_weight)
    _collect(layer, bias, d_bias)
    return d_total


def _dense_backward(
    layer: FusedLayer, dense: Dense, grad: Tensor, inputs: Tensor, plus: Tensor | None = None
) -> Tensor:
    """Collect the gradients of weight and bias; returns that of the inputs, added to `plus`."""
    _collect(layer, dense.weight, grad.t() @ inputs)
    _collect(layer, dense.bias, grad.sum(0))
    if plus is None:
        return grad @ dense.weight.compute
    return torch.addmm(plus, grad, dense.weight.compute)


def _collect(layer: FusedLayer, views: Views, grad: Tensor) -> None:
    if layer.flat.fresh:
        views.grad.copy_(grad)
    else:
        views.grad.add_(grad)
