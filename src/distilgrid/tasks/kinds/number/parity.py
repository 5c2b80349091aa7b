"""Exports of a regression: how their numbers correlate with torch's."""

import numpy as np

from distilgrid.tasks.kind_parts import Parity
from distilgrid.tasks.kinds.number.formulas import direct_pearson


class NumberParity(Parity):
    """Pearson's correlation."""

    field = "correlation"

    def agreement(self, expected: np.ndarray, found: np.ndarray) -> float:
        """The correlation with torch's numbers."""
        return direct_pearson(expected, found)

    def complaint(self, agreement: float, least: float) -> str:
        """In correlations."""
        return f"correlates with torch's numbers by {agreement:.3f} only, the least is {least:g}"


PARITY = NumberParity()
