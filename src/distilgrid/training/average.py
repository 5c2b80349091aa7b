"""Moving average of trained weights, for runs that ask for it (`average_decay`)."""

import contextlib
from collections.abc import Iterator

from torch import Tensor

from distilgrid.training.weights import FlatParameters

PART = 2**20  # weights that are exchanged at a time


class WeightAverage:
    """The exponential moving average of flat weights, which often scores better than the last weights.

    Polyak and Juditsky 1992; as an exponential moving average, Tarvainen and Valpola 2017 (Mean Teacher).

    After n updates the decay is at most (1 + n) / (10 + n), so the first weights are soon forgotten.

    Args:
        flat: weights in training; the average starts from their values.
        decay: decay of an update.
        unseen: factor that weight decay has left so far of embeddings that occur in no row.

    Attributes:
        values: (P,) fp32.
        unseen: the same average of that factor.
    """

    def __init__(self, flat: FlatParameters, *, decay: float, unseen: float = 1.0) -> None:
        self.flat, self.decay = flat, decay
        self.values, self.unseen = flat.values.clone(), unseen

    def update(self, step: int, *, unseen: float) -> None:
        """Add the weights after a step."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        self.values.lerp_(self.flat.values, share)
        self.unseen += share * (unseen - self.unseen)

    def load(self, values: Tensor, unseen: float) -> None:
        """Restore a saved average."""
        self.values.copy_(values)
        self.unseen = unseen

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the averaged weights within the body."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        """Exchange the trained weights and their average in parts, which saves the memory of a copy."""
        for trained, average in zip(self.flat.values.split(PART), self.values.split(PART), strict=True):
            kept = trained.clone()
            trained.copy_(average)
            average.copy_(kept)
        self.flat.refresh()
