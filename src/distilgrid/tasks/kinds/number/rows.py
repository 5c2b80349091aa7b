"""Rows of texts with a number."""

from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.kinds.label.rows import LabelRows
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd


class NumberRows(LabelRows):
    """Numbers in place of labels."""

    placeholder: int | float = 0.0

    def label_set(self, spec: TaskSpec, train: "pd.DataFrame", origin: str) -> list[str]:
        """None."""
        return []

    def strata(self, frame: "pd.DataFrame") -> np.ndarray | None:
        """None: all rows are one group."""
        return None

    def codes(self, frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> np.ndarray:
        """(N,) numbers. Raises UserError for a label that is no finite number, naming its row."""
        return _numbers(frame[spec.label], origin)


def _numbers(column: "pd.Series[float]", origin: str) -> np.ndarray:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(f"{origin}: row {bad[0] + 1}: label '{column.iloc[bad[0]]}' in '{column.name}' is not a number")
    return numbers


ROWS = NumberRows()
