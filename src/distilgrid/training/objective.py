"""The Objective protocol: the training loop's view of a distillation method."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, device, nn


@dataclass(frozen=True)
class Outputs:
    """Outputs of a model that losses see."""

    logits: Tensor  # (B, C), fp32
    # (B, layers, H), fp32: first token's hidden state after each layer; None unless requested
    cls_states: Tensor | None = None
    # (T, layers, H), fp32 or recorded fp16: all tokens' states row by row without padding; None unless requested
    token_states: Tensor | None = None
    others: "tuple[Outputs, ...]" = ()  # outputs of a cell's other teachers

    def to(self, device: device) -> "Outputs":
        """Copy the outputs to a device."""
        cls, tokens = (None if part is None else part.to(device) for part in (self.cls_states, self.token_states))
        return Outputs(self.logits.to(device), cls, tokens, tuple(other.to(device) for other in self.others))


@dataclass(frozen=True)
class Sizes:
    """Number of a model's layers, and width of its hidden states."""

    layers: int
    hidden: int


class Objective(Protocol):
    """The losses of a batch. Losses never see model classes."""

    needs_states: bool = False  # whether the losses need the student's `cls_states`
    # whether they need `token_states`; the losses are then means over tokens, otherwise over rows
    needs_tokens: bool = False
    # whether the losses compare rows with each other; otherwise a batch may come in parts, whose means are averaged
    needs_batch: bool = False

    def companion(self, student: Sizes, teacher: Sizes | None, *, seed: int) -> nn.Module | None:
        """Auxiliary module, trained with the student, that maps its Outputs to those that `losses` gets; None without.

        The teacher's sizes are those of its states, if known. Raises UserError when the student cannot learn from this
        teacher.
        """
        return None

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """Named and weighted terms; the loop minimises their sum. A batch may hold a single row.

        `labels` are as the task kind makes them; `teacher` holds outputs on the same rows, None for a method without a
        teacher.
        """
