"""The single output is the number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.tasks.kind_parts import Predictions

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PretrainedConfig


class NumberPredictions(Predictions):
    """Of outputs (N, 1)."""

    def allocate(self, rows: int, config: "PretrainedConfig") -> np.ndarray:
        """(N, 1)."""
        return np.empty((rows, 1), dtype=np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Numbers."""
        return outputs[:, 0]

    def answers(self, outputs: np.ndarray, labels: Sequence[str]) -> "pd.DataFrame":
        """`value`."""
        import pandas as pd

        return pd.DataFrame({"value": outputs[:, 0].astype(np.float64)})


PREDICTIONS = NumberPredictions()
