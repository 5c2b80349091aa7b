"""The label with the largest logit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.tasks.kind_parts import Predictions

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PretrainedConfig


class LabelPredictions(Predictions):
    """Of logits (N, C)."""

    def allocate(self, rows: int, config: "PretrainedConfig") -> np.ndarray:
        """(N, C)."""
        return np.empty((rows, config.num_labels), dtype=np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Label numbers."""
        labels: np.ndarray = outputs.argmax(axis=1)
        return labels

    def answers(self, outputs: np.ndarray, labels: Sequence[str]) -> "pd.DataFrame":
        """`label`, and `score`: its probability."""
        import pandas as pd

        odds = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
        score = odds.max(axis=1) / odds.sum(axis=1)
        named = pd.Series([labels[i] for i in self.decode(outputs)], dtype=object)
        return pd.DataFrame({"label": named, "score": score})


PREDICTIONS = LabelPredictions()
