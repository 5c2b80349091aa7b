"""An average of the weights along the way, which often scores better than the last weights.

Polyak and Juditsky 1992; as an exponential moving average, Tarvainen and Valpola 2017 (Mean Teacher).
"""

import contextlib
from collections.abc import Iterator

from torch import Tensor

from distilgrid.training.cpu.flat import FlatParameters

PART = 2**20


class WeightAverage:
    """The exponential moving average of flat weights.

    Early in training its decay is (1 + n) / (10 + n) after n updates, where that is less: the first weights are soon
    forgotten.

    Args:
        flat: the weights in training; the average begins with their values.
        decay: of each update.
        unseen: what weight decay has left so far of embeddings that occur in no row, as a factor.

    Attributes:
        values: (P,) fp32.
        unseen: the same average of that factor.
    """

    def __init__(self, flat: FlatParameters, *, decay: float, unseen: float = 1.0) -> None:
        self.flat, self.decay = flat, decay
        self.values, self.unseen = flat.values.clone(), unseen

    def update(self, step: int, *, unseen: float) -> None:
        """Take in the weights after a step."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        self.values.lerp_(self.flat.values, share)
        self.unseen += share * (unseen - self.unseen)

    def load(self, values: Tensor, unseen: float) -> None:
        """Go on from a saved average."""
        self.values.copy_(values)
        self.unseen = unseen

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the body, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        """Exchange the trained weights and their average, part by part: a copy of all of them would cost memory."""
        for trained, average in zip(self.flat.values.split(PART), self.values.split(PART), strict=True):
            kept = trained.clone()
            trained.copy_(average)
            average.copy_(kept)
        self.flat.refresh()
