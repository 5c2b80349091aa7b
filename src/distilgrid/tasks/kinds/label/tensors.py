"""Tensors of labelled texts: inputs, targets, and a classifier's outputs, one logit for each label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.batching import Encodings, Tokenizer, encode, tokenised
from distilgrid.tasks.dataset import RowsOnDisk
from distilgrid.tasks.kind import Batching, Form, Losses, Predictions

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PretrainedConfig


class TextBatching(Batching):
    """Batching of texts with any sort of label."""

    def samples(self, source: RowsOnDisk, split: str, *, tokenizer: Tokenizer, max_length: int) -> Encodings:
        """Tokens of a split, cached next to its rows."""
        assert tokenizer is not None, "models of texts have a tokeniser"
        return tokenised(source, split, tokenizer=tokenizer, max_length=max_length)

    def given(self, rows: Any, *, tokenizer: Tokenizer, max_length: int, pair: bool) -> Encodings:
        """Tokenise a frame with `text`, and `text_pair` for pairs."""
        assert tokenizer is not None, "models of texts have a tokeniser"
        second = rows["text_pair"].tolist() if pair else None
        return encode(tokenizer, rows["text"].tolist(), second, max_length=max_length)


class LabelledBatching(Batching):
    """Batching of label numbers for any sort of input."""

    def labels(self, frame: "pd.DataFrame") -> Tensor:
        """Label numbers (N,), int64."""
        return torch.from_numpy(frame["label"].to_numpy().copy()).long()

    def softened(self, labels: Tensor, added: "pd.DataFrame", *, outputs: int) -> Tensor:
        """Probabilities (N, C)."""
        certain = F.one_hot(labels, outputs).float()
        given = [torch.tensor(values) for values in added["probabilities"]]
        return torch.cat([certain, torch.stack(given).float()]) if given else certain

    def relabelled(self, frame: "pd.DataFrame", outputs: Tensor) -> "pd.DataFrame":
        """Add the column `probabilities`; a row without an origin takes the likeliest label."""
        named = frame["label"].where(frame["parents"].map(len) > 0, outputs.argmax(dim=-1).numpy())
        return frame.assign(label=named, probabilities=torch.softmax(outputs, dim=-1).tolist())


class LabelBatching(TextBatching, LabelledBatching):
    """Batching of labelled texts."""


class LabelOutputs(Losses, Predictions):
    """Logits (N, C): the largest one names the label; exports agree by the share of rows with torch's label."""

    field = "label_agreement"

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Name the labels."""
        config.problem_type = "single_label_classification"
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}

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

    def agreement(self, expected: np.ndarray, found: np.ndarray) -> float:
        """The share of equal labels."""
        return float((found == expected).mean())

    def complaint(self, agreement: float, least: float) -> str:
        """The share found and the share wanted."""
        return f"predicts torch's label on {agreement:.1%} of the rows only, the least is {least:.1%}"


BATCH = LabelBatching()
LOSSES = PREDICT = LabelOutputs()
