"""Rows of texts with a number."""

from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.kinds.label.rows import LabelRows, row_of

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.spec import TaskSpec


class NumberRows(LabelRows):
    """Texts, or pairs of texts, with a number."""

    placeholder: int | float = 0.0

    def label_set(self, spec: "TaskSpec", train: "pd.DataFrame", origin: str) -> list[str]:
        """An empty set."""
        return []

    def strata(self, frame: "pd.DataFrame") -> np.ndarray | None:
        """None: all rows are one group."""
        return None

    def codes(self, frame: "pd.DataFrame", spec: "TaskSpec", labels: list[str], origin: str) -> np.ndarray:
        """Numbers (N,). Raises UserError with the first row that has no finite one, and for one number in all rows."""
        import pandas as pd

        column = frame[spec.label]
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            row, value = row_of(column, bad[0]), column.iloc[bad[0]]
            raise UserError(f"{origin}: row {row}: label '{value}' in '{column.name}' is not a number")
        if len(numbers) > 1 and np.ptp(numbers) == 0:
            said = f"column '{column.name}' holds one number only, {column.iloc[0]}"
            raise UserError(f"{origin}: {said}; a regression needs different ones")
        return numbers


ROWS = NumberRows()
