"""Convolution, batch norm, shortcut and ReLU as one step of a network, whose backward pass is written out for CPUs.

The same mathematics as the modules it holds (batch norm: Ioffe and Szegedy 2015), with what torch's kernels do not do:
bf16 numbers are compared as integers, and for the statistics of few channels neighbouring pixels count as one, so that
loops over 16 channels become loops over 128 numbers. Maps stay channels last. Statistics are over the whole batch.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

aten = torch.ops.aten
FEW_CHANNELS = 16
WIDTH = 128  # numbers in a loop over few channels of several pixels: more are no faster
LOWEST_INFINITY = -128  # minus infinity in bf16, read as int16; what is greater and negative is NaN


class WrittenOut(nn.Module):
    """A module that is trained on CPUs through a written-out backward pass.

    Attributes:
        written_out: False trains it through torch's own modules and autograd, as everywhere else.
    """

    written_out = True

    def trains_written_out(self, states: Tensor) -> bool:
        """Whether this forward pass is to be followed by a written-out backward pass."""
        return self.training and self.written_out and states.device.type == "cpu"


class ConvNorm(WrittenOut):
    """relu(norm(conv(states)) + shortcut).

    Attributes:
        relu: whether there is a ReLU.
    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.relu = relu

    def forward(self, states: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, H', W'); the shortcut has the form of the result."""
        if self.trains_written_out(states):
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
        out, mean, deviation = normalised(y, gamma, beta, unit.norm)
        if shortcut is not None:
            out += shortcut
        if unit.relu:
            relu_(out)
        ctx.save_for_backward(x, kernel, gamma, y, out, mean, deviation)
        ctx.unit, ctx.shape, ctx.shortcut = unit, shape, shortcut is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, gamma, y, out, mean, deviation = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        if ctx.unit.relu:
            grad = relu_backward(grad, out)
        given = (grad, y, gamma, None, None, mean, deviation, True, ctx.unit.norm.eps, [True, True, True])
        d_y, d_gamma, d_beta = aten.native_batch_norm_backward(*given)
        wanted = [ctx.needs_input_grad[0], True, False]
        d_x, d_weight, _ = aten.convolution_backward(d_y, x, kernel, None, *ctx.shape, wanted)
        # Batch norm takes away what the convolution's offset adds.
        d_offset = torch.zeros_like(mean) if ctx.unit.conv.bias is not None else None
        return d_x, d_weight.float(), d_offset, d_gamma, d_beta, grad if ctx.shortcut else None, None


def normalised(y: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm in training; moves the running statistics.

    Args:
        y: (B, C, H, W), channels last.
        gamma, beta: (C,), weight and bias.
        norm: the module whose statistics they are.

    Returns:
        The normalised maps; the means and the reciprocal deviations of the channels (C,), in fp32.
    """
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    running = (norm.running_mean, norm.running_var)
    if y.shape[1] > FEW_CHANNELS:
        result: tuple[Tensor, Tensor, Tensor]
        result = aten.native_batch_norm(y, gamma, beta, *running, True, norm.momentum, norm.eps)
        return result
    mean, var = statistics(y)
    count = y.numel() // y.shape[1]
    for old, new in zip(running, (mean, var * (count / max(1, count - 1))), strict=True):
        old.lerp_(new, norm.momentum)
    out = aten.native_batch_norm(y, gamma, beta, mean, var, False, 0.0, norm.eps)[0]
    return out, mean, torch.rsqrt(var + norm.eps)


def statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (divided by n) of each channel of (B, C, H, W), channels last, in fp32."""
    batch, channels, height, width = y.shape
    pixels = height * width
    times = max((n for n in range(2, pixels // 2 + 1) if pixels % n == 0 and n * channels <= WIDTH), default=1)
    wide = times * channels
    regrouped = y.as_strided((batch, wide, pixels // times, 1), (pixels * channels, 1, wide, wide))  # channels last
    unused = torch.zeros(2, wide)  # running statistics in fp32 make the results fp32, too
    means, variances = aten.batch_norm_update_stats(regrouped, unused[0], unused[1], 0.0)
    means, variances = means.view(times, channels), variances.view(times, channels)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square_()).mean(0)


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
