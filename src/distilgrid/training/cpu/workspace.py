"""Reused memory for the large activations of a batch.

Batches differ in length. Tensors of ever new sizes leave holes in memory: the process grows to twice what it holds, and
the kernel clears new pages all the time.
"""

import math

import torch
from torch import Tensor

ALIGNMENT = 64
SPARE = 2  # room taken, relative to what is needed: pages that nobody touches cost no memory


class Workspace:
    """Hands out tensors from one block of memory; `reset` takes all of them back."""

    def __init__(self) -> None:
        self.storage = torch.UntypedStorage(0)
        self.used = self.wanted = 0

    def reset(self) -> None:
        """Permit overwriting all tensors, and make room for those that did not fit last time."""
        if self.wanted > self.storage.nbytes():
            self.storage = torch.UntypedStorage(0)  # the old block goes before the new one comes
            self.storage = torch.UntypedStorage(SPARE * self.wanted)
        self.used = self.wanted = 0

    def take(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A tensor with undefined values."""
        size = math.prod(shape) * dtype.itemsize
        start, self.wanted = self.used, self.wanted + -(-size // ALIGNMENT) * ALIGNMENT
        if self.wanted > self.storage.nbytes():
            return torch.empty(shape, dtype=dtype)
        self.used = self.wanted
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        # Not a view: autograd must not take a write to one of these tensors for a write to another.
        return torch.empty(0, dtype=dtype).set_(self.storage, start // dtype.itemsize, shape, strides)


class Workspaces:
    """Memory of a stack of layers: one space lasts until the backward pass is over, one serves a single layer."""

    def __init__(self) -> None:
        self.lasting, self.passing = Workspace(), Workspace()

    def keep(self, *, recording: bool) -> Workspace:
        """Space for values that a backward pass reads, if one follows."""
        return self.lasting if recording else self.passing
