"""Convolution, batch norm, shortcut and ReLU as one step of a network, whose backward pass is written out for CPUs.

The same mathematics as the modules it holds (batch norm: Ioffe and Szegedy 2015), with what torch's kernels do not do:
neighbouring pixels of channels-last maps count as one, so that loops over 16 channels become loops over 128 numbers;
bf16 numbers are compared as integers; everything stays channels last. Statistics are over the whole batch and in fp32,
as are all sums.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

aten = torch.ops.aten
WIDTH = 128  # numbers of a regrouped channel dimension: more are no faster
LOWEST_INFINITY = -128  # minus infinity in bf16, read as int16; what is greater and negative is NaN


class ConvNorm(nn.Module):
    """relu(norm(conv(states)) + shortcut).

    Attributes:
        relu: whether there is a ReLU.
        written_out: train on CPUs through the written-out backward pass; otherwise always through the modules.
    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.relu = relu
        self.written_out = True

    def forward(self, states: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, H', W'); the shortcut has the form of the result."""
        if self.training and self.written_out and states.device.type == "cpu":
            return self._trained(states, shortcut)
        result: Tensor = self.norm(self.conv(states))
        if shortcut is not None:
            result = result + shortcut
        return F.relu(result) if self.relu else result

    def _trained(self, states: Tensor, shortcut: Tensor | None) -> Tensor:
        conv, norm = self.conv, self.norm
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else conv.weight.dtype
        weights = (conv.weight, conv.bias, norm.weight, norm.bias)
        result: Tensor = _Function.apply(states.to(dtype), *weights, shortcut, self)
        return result


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        offset: Tensor | None,
        gamma: Tensor,
        beta: Tensor,
        shortcut: Tensor | None,
        unit: ConvNorm,
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        kernel = weight.to(x.dtype, memory_format=torch.channels_last)
        shape = (list(unit.conv.stride), list(unit.conv.padding), [1, 1], False, [0, 0], 1)
        y = aten.convolution(x, kernel, None if offset is None else offset.to(x.dtype), *shape)
        y = y.contiguous(memory_format=torch.channels_last)  # which it is, unless there is a single channel
        mean, var = statistics(y)
        _follow(unit.norm, mean, var, count=y.numel() // y.shape[1])
        deviation = torch.rsqrt(var + unit.norm.eps)
        scale = gamma * deviation
        out = affine(y, scale, beta - mean * scale)
        if shortcut is not None:
            out += shortcut
        if unit.relu:
            relu_(out)
        ctx.save_for_backward(x, kernel, y, out, mean, deviation, scale)
        ctx.shape, ctx.relu, ctx.has = shape, unit.relu, (offset is not None, shortcut is not None)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, y, out, mean, deviation, scale = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        if ctx.relu:
            grad = relu_backward(grad, out)
        d_gamma, d_beta = norm_sums(grad, y, mean, deviation)
        count = y.numel() // y.shape[1]
        slope = (-scale * deviation * d_gamma / count).to(y.dtype)
        d_y = affine(grad, scale, -scale * d_beta / count - slope * mean)
        add_scaled_(d_y, y, slope)
        wanted = [ctx.needs_input_grad[0], True, False]
        d_x, d_weight, _ = aten.convolution_backward(d_y, x, kernel, None, *ctx.shape, wanted)
        has_offset, has_shortcut = ctx.has
        # Batch norm takes away what the convolution's offset adds.
        d_offset = torch.zeros_like(mean) if has_offset else None
        return d_x, d_weight.float(), d_offset, d_gamma, d_beta, grad if has_shortcut else None, None


def statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (divided by n) of each channel of (B, C, H, W), channels last, in fp32."""
    times = _regrouping(y)
    unused = torch.zeros(2, times * y.shape[1])  # running statistics in fp32 make the results fp32, too
    means, variances = aten.batch_norm_update_stats(_regrouped(y, times), unused[0], unused[1], 0.0)
    if times == 1:
        return means, variances
    means, variances = means.view(times, -1), variances.view(times, -1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square_()).mean(0)


def affine(y: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """y * scale + shift of each channel: batch norm with nothing to normalise is the fastest way to say it."""
    ones, zeros = torch.ones_like(scale), torch.zeros_like(scale)
    result: Tensor = aten.native_batch_norm(y, scale, shift, zeros, ones, False, 0.0, 0.0)[0]
    return result


def relu_(y: Tensor) -> None:
    """ReLU in place; NaN stays NaN."""
    if y.dtype == torch.bfloat16:
        aten.threshold_(y.view(torch.int16), LOWEST_INFINITY, 0)  # negative numbers are negative integers
    else:
        y.relu_()


def relu_backward(grad: Tensor, out: Tensor) -> Tensor:
    """The gradient where the ReLU's output is positive, else 0."""
    if grad.dtype == torch.bfloat16:
        masked: Tensor = aten.threshold_backward(grad.view(torch.int16), out.view(torch.int16), 0)
        return masked.view(torch.bfloat16)
    result: Tensor = aten.threshold_backward(grad, out, 0)
    return result


def norm_sums(grad: Tensor, y: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of batch norm's weight and bias: sums of grad * (y - mean) * deviation, and of grad, in fp32.

    Args:
        grad, y: (B, C, H, W), channels last.
        mean, deviation: (C,), the second one the reciprocal standard deviation.
    """
    times = _regrouping(y)
    given = (_regrouped(grad, times), _regrouped(y, times), None, None, None)
    _, products, sums = aten.native_batch_norm_backward(
        *given, mean.repeat(times), deviation.repeat(times), True, 0.0, [False, True, True]
    )
    return products.view(times, -1).sum(0), sums.view(times, -1).sum(0)


def add_scaled_(total: Tensor, y: Tensor, scale: Tensor) -> None:
    """total += y * scale of each channel, in place."""
    times = _regrouping(y)
    rows = (y.numel() // (times * y.shape[1]), times * y.shape[1])
    total.as_strided(rows, (rows[1], 1)).addcmul_(y.as_strided(rows, (rows[1], 1)), scale.repeat(times))


def _follow(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, *, count: int) -> None:
    """Move the running statistics towards a batch's, whose variance is made unbiased."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(var * (count / max(1, count - 1)), norm.momentum)


def _regrouping(y: Tensor) -> int:
    """How many neighbouring pixels count as one with as many times the channels."""
    _, channels, height, width = y.shape
    pixels = height * width
    return max((n for n in range(2, pixels // 2 + 1) if pixels % n == 0 and n * channels <= WIDTH), default=1)


def _regrouped(y: Tensor, times: int) -> Tensor:
    """(B, C, H, W), channels last, as (B, times * C, H * W / times, 1), channels last."""
    batch, channels, height, width = y.shape
    wide = times * channels
    return y.as_strided((batch, wide, height * width // times, 1), (channels * height * width, 1, wide, wide))
