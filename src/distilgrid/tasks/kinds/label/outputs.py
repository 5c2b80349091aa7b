"""A classifier's outputs, one logit for each label: what they mean, their losses, predictions and agreement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.kind_parts import Form, Head, Losses, Parity, Predictions

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PretrainedConfig


class LabelHead(Head):
    """One logit for each label."""

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Name the labels."""
        config.problem_type = "single_label_classification"
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}


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
        """Probabilities (N, C): the given ones, or 1 for a label number."""
        return F.one_hot(labels, outputs).float() if labels.dtype == torch.int64 else labels


class LabelPredictions(Predictions):
    """The label with the largest logit of (N, C)."""

    def allocate(self, rows: int, config: "PretrainedConfig") -> np.ndarray:
        """Memory for logits (N, C)."""
        return np.empty((rows, config.num_labels), dtype=np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Label numbers (N,)."""
        labels: np.ndarray = outputs.argmax(axis=1)
        return labels

    def answers(self, outputs: np.ndarray, labels: Sequence[str]) -> "pd.DataFrame":
        """Columns `label` and `score`, its probability."""
        import pandas as pd

        odds = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
        score = odds.max(axis=1) / odds.sum(axis=1)
        named = pd.Series([labels[i] for i in self.decode(outputs)], dtype=object)
        return pd.DataFrame({"label": named, "score": score})


class LabelParity(Parity):
    """The share of rows on which an export predicts torch's label."""

    field = "label_agreement"

    def agreement(self, expected: np.ndarray, found: np.ndarray) -> float:
        """The share of equal labels."""
        return float((found == expected).mean())

    def complaint(self, agreement: float, least: float) -> str:
        """The share found and the share wanted."""
        return f"predicts torch's label on {agreement:.1%} of the rows only, the least is {least:.1%}"


HEAD, LOSSES, PREDICTIONS, PARITY = LabelHead(), LabelLosses(), LabelPredictions(), LabelParity()
