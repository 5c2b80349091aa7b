"""The losses of a task with one label for each row."""

import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.kind_parts import Form, Losses


class LabelLosses(Losses):
    """Cross-entropy with the labels; KL divergence or mean squared error between logits, each (B, C)."""

    def hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy with label numbers (B,) or with probabilities (B, C)."""
        return F.cross_entropy(logits, labels)

    def soft(self, student: Tensor, teacher: Tensor, *, form: Form = "kl", temperature: float = 1.0) -> Tensor:
        """`kl`: T^2 * KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch (Hinton et al. 2015).

        The factor T^2 keeps the gradient's size independent of T. `mse`: the mean over rows and labels.
        """
        if form == "mse":
            return F.mse_loss(student, teacher)
        target = F.log_softmax(teacher / temperature, dim=-1)
        predicted = F.log_softmax(student / temperature, dim=-1)
        return F.kl_div(predicted, target, reduction="batchmean", log_target=True) * temperature**2

    def mixable(self, labels: Tensor, *, outputs: int) -> Tensor:
        """Probabilities (N, C): those given, or 1 for a label number."""
        return F.one_hot(labels, outputs).float() if labels.dtype == torch.int64 else labels


LOSSES = LabelLosses()
