"""Teacher outputs by sample."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.token_states import TokenStates


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
    """Outputs in memory: (N, C) logits, and (N, layers, H) [CLS] states and all tokens' states, or None."""

    def __init__(self, logits: Tensor, cls_states: Tensor | None = None, tokens: TokenStates | None = None) -> None:
        self.logits, self.cls_states, self.tokens, self.forwards = logits, cls_states, tokens, 0

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of the token states."""
        return None if self.tokens is None else Sizes(*self.tokens.values.shape[1:])

    def move(self, device: torch.device) -> None:
        """Keep the logits on a device; the states follow batch by batch."""
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
