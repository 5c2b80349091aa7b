"""Memory for the large activations of a batch, used again for every batch.

Batches come in many lengths. Tensors of ever new sizes, freed in another order than they were made, leave holes between
them: the process grows to twice what it holds, and the kernel clears new pages all the time.
"""

import math

import torch
from torch import Tensor

ALIGNMENT = 64
SPARE = 2  # room taken, relative to what is needed: pages that nobody touches cost no memory


class Workspace:
    """Hands out tensors from one block of memory; `reset` takes all of them back at once."""

    def __init__(self) -> None:
        self.storage = torch.UntypedStorage(0)
        self.used = self.wanted = 0

    def reset(self) -> None:
        """Everything handed out may be overwritten from now on; makes room for what did not fit last time."""
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
    """What a stack of layers needs: memory that lasts until its backward pass is over, and memory for one layer."""

    def __init__(self) -> None:
        self.lasting, self.passing = Workspace(), Workspace()

    def keep(self, *, recording: bool) -> Workspace:
        """For what a backward pass will read, if there will be one."""
        return self.lasting if recording else self.passing
