"""Rows of texts with a number."""

import math
import sys
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.kinds.label.rows import LabelRows, check_columns, check_filled, row_of

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.spec import TaskSpec


class NumberRows(LabelRows):
    """Texts, or pairs of texts, with a number."""

    placeholder: int | float = 0.0

    def label_set(self, spec: "TaskSpec", train: "pd.DataFrame", origin: str) -> list[str]:
        """An empty set. Raises UserError for one number in all training rows, as one label is refused."""
        check_columns(train, [spec.label], origin)
        check_filled(train[spec.label], origin)
        numbers = self.codes(train, spec, [], origin)
        if len(numbers) > 1 and np.ptp(numbers) == 0:
            said = f"column '{spec.label}' holds one number only, {train[spec.label].iloc[0]}"
            raise UserError(f"{origin}: {said}; a regression needs different ones")
        return []

    def strata(self, frame: "pd.DataFrame") -> np.ndarray | None:
        """None: all rows are one group."""
        return None

    def codes(self, frame: "pd.DataFrame", spec: "TaskSpec", labels: list[str], origin: str) -> np.ndarray:
        """Numbers (N,). Raises UserError with the first row that has none, or an infinite one."""
        import pandas as pd

        column = frame[spec.label]
        if column.dtype.kind in "mM":  # as numbers they would be nanoseconds, or what the file counts in
            raise UserError(f"{origin}: column '{column.name}' holds dates or times, no numbers; write numbers")
        values = column.map(_as_float) if column.dtype.kind == "O" else column
        place = next((place for place, value in enumerate(column) if isinstance(value, bool)), None)
        if place is not None:
            said = f"row {row_of(column, place)}: label '{column.iloc[place]}' in '{column.name}' is a truth value"
            raise UserError(f"{origin}: {said}; write 0 and 1, or kind: label")
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            row, value = row_of(column, bad[0]), column.iloc[bad[0]]
            raise UserError(f"{origin}: row {row}: label '{value}' in '{column.name}' is not a number; write it as 3.5")
        return numbers


def _as_float(value: object) -> object:
    """Infinity for a whole number beyond all floats, which JSON may hold; other values as they are."""
    return math.inf if isinstance(value, int) and abs(value) > sys.float_info.max else value


ROWS = NumberRows()
