"""The losses of a task with a real number for each row."""

from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.kind_parts import Form, Losses


class NumberLosses(Losses):
    """Mean squared errors of the single output (B, 1)."""

    def hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        """From the numbers (B,)."""
        return F.mse_loss(logits[:, 0], labels)

    def soft(self, student: Tensor, teacher: Tensor, *, form: Form = "kl", temperature: float = 1.0) -> Tensor:
        """From the teacher's output, in either form and at any temperature."""
        return F.mse_loss(student, teacher)

    def mixable(self, labels: Tensor, *, outputs: int) -> Tensor:
        """The numbers themselves."""
        return labels


LOSSES = NumberLosses()
