"""Texts with a number as tensors."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.tasks.kinds.label.batch import TextBatching

if TYPE_CHECKING:
    import pandas as pd


class NumberBatching(TextBatching):
    """Numbers in place of labels."""

    def labels(self, frame: "pd.DataFrame") -> Tensor:
        """(N,) float32."""
        return torch.from_numpy(frame["label"].to_numpy().copy()).float()

    def softened(self, labels: Tensor, added: "pd.DataFrame", *, outputs: int) -> Tensor:
        """(N,) float32: a teacher's number is a label like any other."""
        return torch.cat([labels, self.labels(added)])

    def relabelled(self, frame: "pd.DataFrame", outputs: Tensor) -> "pd.DataFrame":
        """With the teacher's numbers."""
        return frame.assign(label=outputs[:, 0].double().numpy())


BATCHING = NumberBatching()
