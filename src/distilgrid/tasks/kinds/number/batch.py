"""Tensors of texts with a number."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.tasks.kinds.label.batch import TextBatching

if TYPE_CHECKING:
    import pandas as pd


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


BATCHING = NumberBatching()
