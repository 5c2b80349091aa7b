"""A post-norm transformer layer (Vaswani et al. 2017, as in BERT) with a written-out backward pass.

The mathematics is that of the replaced module, with what autograd cannot know: query, key and value are one matrix
product, and activations stay in the precision of the products. Weights are cast once per step, and their gradients go
straight to where the optimiser reads them. Softmax, layer-norm statistics and sums of weight gradients are fp32.

States are (R, H): the B * L tokens of a batch, and rows that round R up. No token sees those rows; their values are
finite and their gradients zero.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distilgrid.training.cpu.randomness import DropoutMasks
from distilgrid.training.cpu.workspace import Workspace, Workspaces
from distilgrid.training.weights import FlatParameters, FlatViews

aten = torch.ops.aten


@dataclass(frozen=True)
class Dense:
    """A linear map: weight (O, I) and bias (O,)."""

    weight: FlatViews
    bias: FlatViews

    def __call__(self, states: Tensor, space: Workspace) -> Tensor:
        """(N, I) to (N, O)."""
        out = space.take(len(states), len(self.bias.compute), dtype=states.dtype)
        return torch.addmm(self.bias.compute, states, self.weight.compute.t(), out=out)


@dataclass(frozen=True)
class Norm:
    """A layer norm: weight and bias (H,)."""

    weight: FlatViews
    bias: FlatViews
    eps: float

    def __call__(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised states, and the means and reciprocal deviations for the backward pass."""
        shape = [states.shape[-1]]
        normed: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(
            states, shape, self.weight.master, self.bias.master, self.eps
        )
        return normed


@dataclass(frozen=True)
class FusedLayer:
    """Weights and settings of one layer, called on (R, H) in the precision of the products."""

    qkv: Dense  # linear maps of attention and feed-forward network
    out: Dense
    up: Dense
    down: Dense
    norm1: Norm  # norms after each of the two
    norm2: Norm
    heads: int  # attention heads
    gelu: str  # "none" for the exact form, "tanh" for the approximation
    hidden_dropout: float  # rates in training
    attention_dropout: float
    flat: FlatParameters
    masks: DropoutMasks
    spaces: Workspaces

    def __call__(self, states: Tensor, bias: Tensor | None, *, batch: int, length: int, training: bool) -> Tensor:
        """Map (R, H), whose first B * L rows are tokens, to (R, H); the fp32 bias (B, 1, 1, L) is added to scores."""
        result: Tensor = _Function.apply(states, bias, self, (batch, length), training, torch.is_grad_enabled())
        return result


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor | None,
        layer: FusedLayer,
        shape: tuple[int, int],
        training: bool,
        recording: bool,
    ) -> Tensor:
        passing, lasting = layer.spaces.passing, layer.spaces.keep(recording=recording)
        passing.reset()
        q, k, v = _split_heads(layer.qkv(x, passing), shape, layer.heads, lasting)  # each (B * heads, L, d)
        probs = _attention(layer, q, k, bias, lasting)
        kept = _keep(layer, probs, layer.attention_dropout, training, lasting)
        used = probs if kept is None else _product(probs, kept, passing)
        context = _merge_heads(_products(used, v, passing), shape, len(x), lasting)
        if kept is not None:
            context *= layer.masks.scale(layer.attention_dropout)
        after1, kept1, sum1, normed1 = _residual(layer, layer.norm1, x, layer.out(context, passing), training, lasting)
        wide = layer.up(after1, lasting)
        active = aten.gelu.out(wide, approximate=layer.gelu, out=lasting.take(*wide.shape, dtype=wide.dtype))
        after2, kept2, sum2, normed2 = _residual(
            layer, layer.norm2, after1, layer.down(active, passing), training, lasting
        )
        ctx.save_for_backward(x, q, k, v, probs, context, sum1, *normed1, after1, wide, active, sum2, *normed2)
        ctx.masks, ctx.layer, ctx.shape = (kept, kept1, kept2), layer, shape
        return after2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        layer: FusedLayer = ctx.layer
        x, q, k, v, probs, context, sum1, mean1, rstd1, after1, wide, active, sum2, mean2, rstd2 = ctx.saved_tensors
        kept, kept1, kept2 = ctx.masks
        passing = layer.spaces.passing
        passing.reset()
        d_sum2 = _norm_backward(layer, layer.norm2, grads[0], sum2, mean2, rstd2)
        d_active = _dense_backward(layer, layer.down, _dropped(layer, d_sum2, kept2), active)
        d_wide = passing.take(*wide.shape, dtype=wide.dtype)
        aten.gelu_backward.grad_input(d_active, wide, approximate=layer.gelu, grad_input=d_wide)
        d_after1 = _dense_backward(layer, layer.up, d_wide, after1, plus=d_sum2)
        d_sum1 = _norm_backward(layer, layer.norm1, d_after1, sum1, mean1, rstd1)
        d_context = _dense_backward(layer, layer.out, _dropped(layer, d_sum1, kept1), context)
        d_qkv = _attention_backward(layer, d_context, q, k, v, probs, kept, ctx.shape)
        d_x = torch.empty_like(x)  # outlives this layer's memory
        _dense_backward(layer, layer.qkv, d_qkv, x, plus=d_sum1, out=d_x)
        return d_x, None, None, None, None, None


def _split_heads(qkv: Tensor, shape: tuple[int, int], heads: int, space: Workspace) -> tuple[Tensor, Tensor, Tensor]:
    """(R, 3 * H) to query, key and value of (B * heads, L, d) each."""
    (batch, length), width = shape, qkv.shape[1] // (3 * heads)
    parts = space.take(3, batch, heads, length, width, dtype=qkv.dtype)
    parts.copy_(qkv[: batch * length].view(batch, length, 3, heads, width).permute(2, 0, 3, 1, 4))
    q, k, v = parts.view(3, batch * heads, length, width).unbind(0)
    return q, k, v


def _merge_heads(states: Tensor, shape: tuple[int, int], rows: int, space: Workspace) -> Tensor:
    """(B * heads, L, d) to (R, H), with zeros in the rows after the tokens."""
    (batch, length), width = shape, states.shape[2]
    heads, tokens = len(states) // batch, batch * length
    merged = space.take(rows, heads * width, dtype=states.dtype)
    merged[:tokens].view(batch, length, heads, width).copy_(states.view(batch, heads, length, width).transpose(1, 2))
    merged[tokens:].zero_()
    return merged


def _attention(layer: FusedLayer, q: Tensor, k: Tensor, bias: Tensor | None, space: Workspace) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias), computed in fp32: (B * heads, L, L)."""
    passing = layer.spaces.passing
    rough = _products(q, k.transpose(1, 2), passing)
    scores, exact = (passing.take(*rough.shape, dtype=torch.float32) for _ in range(2))
    scores.copy_(rough).mul_(q.shape[-1] ** -0.5)
    if bias is not None:
        scores.view(bias.shape[0], -1, *scores.shape[1:]).add_(bias)
    torch.softmax(scores, dim=-1, out=exact)
    return space.take(*rough.shape, dtype=q.dtype).copy_(exact)


def _attention_backward(
    layer: FusedLayer,
    d_context: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    probs: Tensor,
    kept: Tensor | None,
    shape: tuple[int, int],
) -> Tensor:
    """The gradient of query, key and value (R, 3 * H), with zeros in the rows after the tokens."""
    heads, width, passing = layer.heads, q.shape[2], layer.spaces.passing
    (batch, length), tokens = shape, shape[0] * shape[1]
    d_out = passing.take(*q.shape, dtype=q.dtype)
    d_out.view(batch, heads, length, width).copy_(d_context[:tokens].view(batch, length, heads, width).transpose(1, 2))
    used = probs
    if kept is not None:
        d_out *= layer.masks.scale(layer.attention_dropout)
        used = _product(probs, kept, passing)
    d_used = _products(d_out, v.transpose(1, 2), passing)
    if kept is not None:
        d_used *= kept
    d_scores = _softmax_backward(d_used, probs, passing).mul_(width**-0.5)
    d_scores = d_used.copy_(d_scores)  # in the precision of the products
    d_qkv = passing.take(len(d_context), 3 * heads * width, dtype=q.dtype)
    d_qkv[tokens:].zero_()
    parts = d_qkv[:tokens].view(batch, length, 3, heads, width)
    pairs = ((d_scores, k), (d_scores.transpose(1, 2), q), (used.transpose(1, 2), d_out))
    for i, (left, right) in enumerate(pairs):
        product = _products(left, right, passing)
        parts[:, :, i].copy_(product.view(batch, heads, length, width).transpose(1, 2))
    return d_qkv


def _softmax_backward(grad: Tensor, probs: Tensor, space: Workspace) -> Tensor:
    """The gradient of a softmax's input, in fp32."""
    exact, weights, result = (space.take(*grad.shape, dtype=torch.float32) for _ in range(3))
    exact.copy_(grad)
    weights.copy_(probs)
    aten._softmax_backward_data.out(exact, weights, -1, torch.float32, grad_input=result)
    return result


def _products(left: Tensor, right: Tensor, space: Workspace) -> Tensor:
    """One matrix product per head: (B * heads, M, K) and (B * heads, K, N)."""
    return torch.bmm(left, right, out=space.take(len(left), left.shape[1], right.shape[2], dtype=left.dtype))


def _product(left: Tensor, right: Tensor, space: Workspace) -> Tensor:
    """Product of elements."""
    return torch.mul(left, right, out=space.take(*left.shape, dtype=left.dtype))


def _keep(layer: FusedLayer, like: Tensor, rate: float, training: bool, space: Workspace) -> Tensor | None:
    if not training or rate == 0:
        return None
    return layer.masks.keep(tuple(like.shape), rate=rate, dtype=like.dtype, space=space)


def _residual(
    layer: FusedLayer, norm: Norm, residual: Tensor, update: Tensor, training: bool, space: Workspace
) -> tuple[Tensor, Tensor | None, Tensor, tuple[Tensor, Tensor]]:
    """norm(residual + dropout(update)), and values for the backward pass: mask, sum, the norm's statistics."""
    kept = _keep(layer, update, layer.hidden_dropout, training, space)
    total = space.take(*update.shape, dtype=update.dtype)
    if kept is None:
        torch.add(residual, update, out=total)
    else:
        torch.addcmul(residual, update, kept, value=layer.masks.scale(layer.hidden_dropout), out=total)
    normed, mean, rstd = norm(total)
    return normed, kept, total, (mean, rstd)


def _dropped(layer: FusedLayer, grad: Tensor, kept: Tensor | None) -> Tensor:
    if kept is None:
        return grad
    return _product(grad, kept, layer.spaces.passing).mul_(layer.masks.scale(layer.hidden_dropout))


def _norm_backward(layer: FusedLayer, norm: Norm, grad: Tensor, total: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    weight, bias = norm.weight, norm.bias
    d_total, d_weight, d_bias = aten.native_layer_norm_backward(
        grad, total, [total.shape[-1]], mean, rstd, weight.master, bias.master, [True, True, True]
    )
    _collect(layer, weight, d_weight)
    _collect(layer, bias, d_bias)
    return d_total


def _dense_backward(
    layer: FusedLayer, dense: Dense, grad: Tensor, inputs: Tensor, plus: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """Collect the gradients of weight and bias; return that of the inputs, plus `plus`, in `out` if given."""
    _collect(layer, dense.weight, grad.t() @ inputs)
    _collect(layer, dense.bias, grad.sum(0))
    out = layer.spaces.passing.take(*inputs.shape, dtype=grad.dtype) if out is None else out
    if plus is None:
        return torch.mm(grad, dense.weight.compute, out=out)
    return torch.addmm(plus, grad, dense.weight.compute, out=out)


def _collect(layer: FusedLayer, views: FlatViews, grad: Tensor) -> None:
    if layer.flat.fresh:
        views.grad.copy_(grad)
    else:
        views.grad.add_(grad)
