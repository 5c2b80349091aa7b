"""Exports of a classifier: how often they predict torch's label."""

import numpy as np

from distilgrid.tasks.kind_parts import Parity


class LabelParity(Parity):
    """The share of equal labels."""

    field = "label_agreement"

    def agreement(self, expected: np.ndarray, found: np.ndarray) -> float:
        """The share of rows with torch's label."""
        return float((found == expected).mean())

    def complaint(self, agreement: float, least: float) -> str:
        """In shares of rows."""
        return f"predicts torch's label on {agreement:.1%} of the rows only, the least is {least:.1%}"


PARITY = LabelParity()
