"""Tensors of texts with a number: targets, and a regression's single output (N, 1)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.kind import Form, Losses, Predictions
from distilgrid.tasks.kinds.label.tensors import TextBatching
from distilgrid.tasks.kinds.number.formulas import direct_pearson

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PretrainedConfig


class NumberBatching(TextBatching):
    """Batching of numbers as labels."""

    def labels(self, frame: "pd.DataFrame") -> Tensor:
        """Numbers (N,), float32."""
        return torch.from_numpy(frame["label"].to_numpy().copy()).float()

    def softened(self, labels: Tensor, added: "pd.DataFrame", *, outputs: int) -> Tensor:
        """Numbers (N,), a teacher's included."""
        return torch.cat([labels, self.labels(added)])

    def relabelled(self, frame: "pd.DataFrame", outputs: Tensor) -> "pd.DataFrame":
        """Replace labels by the teacher's numbers."""
        return frame.assign(label=outputs[:, 0].double().numpy())


class NumberOutputs(Losses, Predictions):
    """The number itself; exports agree by Pearson's correlation with torch's numbers."""

    field = "correlation"

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Mark the output as a number."""
        config.problem_type = "regression"

    def hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The error from the numbers (B,)."""
        return F.mse_loss(logits[:, 0], labels)

    def soft(self, student: Tensor, teacher: Tensor, *, form: Form = "kl", temperature: float = 1.0) -> Tensor:
        """The error from the teacher's output, in either form and at any temperature."""
        return F.mse_loss(student, teacher)

    def mixable(self, labels: Tensor, *, outputs: int) -> Tensor:
        """The numbers themselves."""
        return labels

    def allocate(self, rows: int, config: "PretrainedConfig") -> np.ndarray:
        """Memory for outputs (N, 1)."""
        return np.empty((rows, 1), dtype=np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Numbers (N,)."""
        return outputs[:, 0]

    def answers(self, outputs: np.ndarray, labels: Sequence[str]) -> "pd.DataFrame":
        """One column, `value`."""
        import pandas as pd

        return pd.DataFrame({"value": outputs[:, 0].astype(np.float64)})

    def agreement(self, expected: np.ndarray, found: np.ndarray) -> float:
        """The correlation."""
        return direct_pearson(expected, found)

    def complaint(self, agreement: float, least: float) -> str:
        """The correlation found and the one wanted."""
        return f"correlates with torch's numbers by {agreement:.3f} only, the least is {least:g}"


BATCH = NumberBatching()
LOSSES = PREDICT = NumberOutputs()
