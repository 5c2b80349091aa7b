"""The Objective protocol: what a distillation method is to the training loop."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, device, nn


@dataclass(frozen=True)
class Outputs:
    """What losses see of a model.

    Attributes:
        logits: (B, C), fp32.
        cls_states: the first token's hidden state after each layer, (B, layers, H), fp32; None unless asked for.
        token_states: all tokens' hidden states after each layer, (T, layers, H), row after row without the padding;
            fp32, or fp16 as recorded; None unless asked for.
        others: outputs of a cell's other teachers, where it has several.
    """

    logits: Tensor
    cls_states: Tensor | None = None
    token_states: Tensor | None = None
    others: "tuple[Outputs, ...]" = ()

    def to(self, device: device) -> "Outputs":
        """The same outputs on a device."""
        cls, tokens = (None if part is None else part.to(device) for part in (self.cls_states, self.token_states))
        return Outputs(self.logits.to(device), cls, tokens, tuple(other.to(device) for other in self.others))


@dataclass(frozen=True)
class Sizes:
    """How many layers a model has, and the width of its hidden states."""

    layers: int
    hidden: int


class Objective(Protocol):
    """The losses of a batch. Losses never see model classes.

    Attributes:
        needs_states: whether `cls_states` of the student are wanted.
        needs_tokens: whether `token_states` are; the losses are then means over tokens, otherwise over rows.
    """

    needs_states: bool = False
    needs_tokens: bool = False

    def companion(self, student: Sizes, teacher: Sizes | None, *, seed: int) -> nn.Module | None:
        """Weights that are trained with the student and are no part of it: a module from its Outputs to those that
        `losses` gets. None for a method without any. Raises UserError when the student cannot learn from this teacher.

        Args:
            student: the student's sizes.
            teacher: those of the teacher's states, where they are known.
            seed: of the weights.
        """
        return None

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """Named terms, already weighted; the loop minimises their sum.

        Args:
            labels: (B,) as the task kind makes them.
            student: the student's outputs.
            teacher: the teacher's outputs on the same rows, or None for a method without a teacher.
        """
