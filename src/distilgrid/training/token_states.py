"""Hidden states of all tokens of many rows, without padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenStates:
    """States of rows that differ in length."""

    values: Tensor  # (T, layers, H), adjacent tokens for each row; may be mapped from a file
    starts: Tensor  # (N,) first token of each row
    lengths: Tensor  # (N,) tokens of each row

    @classmethod
    def packed(cls, values: Tensor, lengths: Tensor) -> "TokenStates":
        """Wrap rows that lie end to end, in order."""
        return cls(values, lengths.cumsum(0) - lengths, lengths)

    def take(self, rows: Tensor) -> "TokenStates":
        """Some rows, in the given order, without copying states."""
        return TokenStates(self.values, self.starts[rows], self.lengths[rows])

    def places(self, rows: Sequence[int]) -> Tensor:
        """(t,) positions of the tokens of some rows, row by row."""
        index = torch.as_tensor(rows)
        lengths = self.lengths[index]
        ahead = lengths.cumsum(0) - lengths  # (B,) tokens of the rows before
        return torch.repeat_interleave(self.starts[index] - ahead, lengths) + torch.arange(int(lengths.sum()))

    def of(self, rows: Sequence[int]) -> Tensor:
        """States of some rows, row by row: (t, layers, H), in the precision of `values`."""
        return self.values[self.places(rows)]
