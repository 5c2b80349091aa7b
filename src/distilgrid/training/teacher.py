"""Teacher outputs by sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from distilgrid.models.shapes import Sizes
from distilgrid.training.objective import Outputs


class Numbered(Protocol):
    """A tensor in memory, or one in a file whose rows are read on use."""

    @property
    def shape(self) -> Sequence[int]:
        """Its shape."""

    def __getitem__(self, index: Any, /) -> Tensor:
        """Rows of some numbers."""

    def to(self, device: Any, /) -> "Numbered":
        """A copy on a device; a file stays what it is."""


@dataclass(frozen=True)
class TokenStates:
    """States of rows that differ in length."""

    values: Numbered  # (T, layers, H), adjacent tokens for each row
    starts: Tensor  # (N,) first token of each row
    lengths: Tensor  # (N,) tokens of each row

    @classmethod
    def packed(cls, values: Numbered, lengths: Tensor) -> "TokenStates":
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


class TeacherOutputs(Protocol):
    """Teacher outputs by sample."""

    @property
    def forwards(self) -> int:
        """Number of samples that went through a live teacher."""

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of the token states; None without any."""

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs on some training rows or mixed samples, in their order."""

    def move(self, device: torch.device) -> None:
        """Compute, or keep, outputs on a device."""


class StoredTeacher:
    """Outputs in memory or in files: (N, ...) logits, and (N, layers, H) [CLS] and all tokens' states, or None."""

    def __init__(self, logits: Numbered, cls_states: Numbered | None = None, tokens: TokenStates | None = None) -> None:
        self.logits, self.cls_states, self.tokens, self.forwards = logits, cls_states, tokens, 0

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of the token states."""
        return None if self.tokens is None else Sizes(*self.tokens.values.shape[1:])

    def move(self, device: torch.device) -> None:
        """Keep logits in memory on a device; states and files follow batch by batch."""
        self.logits = self.logits.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Look outputs up without running a teacher."""
        index = torch.as_tensor(samples)
        states = None if self.cls_states is None else self.cls_states[index].float()
        return Outputs(self.logits[index], states, None if self.tokens is None else self.tokens.of(samples))


class SeveralTeachers:
    """Outputs of several teachers: those of the first, which hold the others'."""

    def __init__(self, teachers: Sequence[TeacherOutputs]) -> None:
        self.teachers = tuple(teachers)

    @property
    def forwards(self) -> int:
        """Sum over all teachers."""
        return sum(teacher.forwards for teacher in self.teachers)

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of the first teacher's token states."""
        return self.teachers[0].sizes

    def move(self, device: torch.device) -> None:
        """Move each teacher."""
        for teacher in self.teachers:
            teacher.move(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of the first teacher, with `others`."""
        first, *others = (teacher.outputs(samples) for teacher in self.teachers)
        return replace(first, others=tuple(others))
