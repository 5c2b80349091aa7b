"""Hidden states of all tokens of many rows, without padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenStates:
    """States of some rows, each of its own length.

    Attributes:
        values: (T, layers, H), the tokens of each row next to each other; may be mapped from a file.
        starts: (N,) where each row's tokens begin.
        lengths: (N,) tokens of each row.
    """

    values: Tensor
    starts: Tensor
    lengths: Tensor

    @classmethod
    def packed(cls, values: Tensor, lengths: Tensor) -> "TokenStates":
        """From rows that lie end to end, in order."""
        return cls(values, lengths.cumsum(0) - lengths, lengths)

    def take(self, rows: Tensor) -> "TokenStates":
        """Some rows, in the given order; the states themselves are not copied."""
        return TokenStates(self.values, self.starts[rows], self.lengths[rows])

    def places(self, rows: Sequence[int]) -> Tensor:
        """(t,) where the tokens of some rows lie, row after row."""
        index = torch.as_tensor(rows)
        lengths = self.lengths[index]
        ahead = lengths.cumsum(0) - lengths  # (B,) tokens of the rows before
        return torch.repeat_interleave(self.starts[index] - ahead, lengths) + torch.arange(int(lengths.sum()))

    def of(self, rows: Sequence[int]) -> Tensor:
        """The states of some rows, row after row: (t, layers, H), as precise as they are kept."""
        return self.values[self.places(rows)]
