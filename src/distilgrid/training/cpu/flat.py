"""All trained weights in one tensor, and all their gradients in another.

The optimiser, the gradient norm, the low-precision copy, an all-reduce and a checkpoint are then one pass over memory
each, instead of one call per weight. The model's parameters become views, so its modules see no difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Group:
    """Weights that share optimiser settings."""

    parameters: Sequence[nn.Parameter]  # weights in the order of their storage
    vectors: bool  # whether they are biases and norms
    below: int = 0  # number of layers between them and the head


@dataclass(frozen=True)
class FlatViews:
    """One weight, or neighbours in memory that act as one, such as query, key and value."""

    master: Tensor  # fp32 values
    compute: Tensor  # the values in the precision of matrix products
    grad: Tensor  # fp32 gradient


class FlatParameters:
    """Parameters in flat storage; `release` gives each a separate tensor again.

    Attributes:
        values: (P,) fp32.
        grads: (P,) fp32; every parameter's `.grad` is a view of it.
        compute: (P,) in the precision of matrix products; `values` itself for fp32.
        fresh: whether `grads` counts as zero. `zero_grad` sets it; the caller of `backward` clears it.
    """

    def __init__(self, groups: Sequence[Group], *, compute: torch.dtype) -> None:
        self.groups = groups
        parameters = [p for group in groups for p in group.parameters]
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.grads = torch.zeros_like(self.values)
        self.compute = self.values if compute == torch.float32 else self.values.to(compute)
        self.fresh = True
        self._spans: dict[int, tuple[int, int]] = {}
        self._self_written: list[tuple[int, int]] = []
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            self._spans[id(parameter)] = (start, end)
            parameter.data = self.values[start:end].view(parameter.shape)
            parameter.grad = self.grads[start:end].view(parameter.shape)
            start = end

    def slices(self) -> list[nn.Parameter]:
        """One flat parameter per group, for an optimiser."""
        flat, start = [], 0
        for group in self.groups:
            end = start + sum(p.numel() for p in group.parameters)
            part = nn.Parameter(self.values[start:end])
            part.grad = self.grads[start:end]
            flat.append(part)
            start = end
        return flat

    def views(self, parameters: Sequence[nn.Parameter]) -> FlatViews:
        """Stack adjacent parameters along their first dimension.

        The caller writes their gradient, overwriting if `fresh` and adding otherwise; `zero_grad` skips it.
        """
        start, end = self._spans[id(parameters[0])][0], self._spans[id(parameters[-1])][1]
        shape = (sum(p.shape[0] for p in parameters), *parameters[0].shape[1:])
        self._self_written.append((start, end))
        return FlatViews(*(flat[start:end].view(shape) for flat in (self.values, self.compute, self.grads)))

    def zero_grad(self) -> None:
        """Reset the gradients."""
        start = 0
        for begin, end in sorted(self._self_written):
            self.grads[start:begin].zero_()
            start = end
        self.grads[start:].zero_()
        self.fresh = True

    def refresh(self) -> None:
        """Update `compute` after the values changed."""
        if self.compute is not self.values:
            self.compute.copy_(self.values)

    def release(self) -> None:
        """Give each parameter separate storage again, without a gradient."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None
                parameter.data = parameter.data.clone()
