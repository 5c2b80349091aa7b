"""Notation of scores: scale, direction and title follow from the metric."""

import functools
from dataclasses import dataclass

from distilgrid.reporting import wording
from distilgrid.tasks.kind import find_metric

HUNDRED = 100.0
"""The scale of metrics whose differences are points."""
TITLES = {
    "f1": "F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}


@dataclass(frozen=True)
class Scoring:
    """The notation of one metric."""

    title: str  # the metric's name in tables, plots and sentences
    scale: float  # factor from a score to the printed number
    higher_is_better: bool  # whether a larger score is better

    def score(self, value: float) -> str:
        """A scaled score: one decimal for scores times 100, three for unscaled ones."""
        return f"{self.scale * value:.{self._decimals}f}".replace("-", wording.MINUS)

    def signed(self, value: float) -> str:
        """A difference of scores, with its sign."""
        text = f"{self.scale * value:+.{self._decimals}f}"
        return text[1:] if float(text) == 0 else text.replace("-", wording.MINUS)

    def bounds(self, low: float, high: float) -> str:
        """An interval of scores or differences."""
        return f"[{self.score(low)},{wording.NO_BREAK}{self.score(high)}]"

    @property
    def _decimals(self) -> int:
        return 1 if self.scale >= HUNDRED else 2 if self.scale >= 10 else 3

    def points(self, value: float) -> str:
        """A difference of scores with its sign and unit."""
        return f"{self.signed(value)}{self.unit}"

    @property
    def unit(self) -> str:
        """The unit of a difference: ` points` for scores times 100, else nothing."""
        return " points" if self.scale == HUNDRED else ""

    @property
    def factor(self) -> str:
        """The scale in a column's small print: x100."""
        return "" if self.scale == 1 else f"{wording.TIMES}{self.scale:g}"

    @property
    def axis(self) -> str:
        """The title with the scale: the label of a plot's axis."""
        return self.title if self.scale == 1 else f"{self.title} {wording.TIMES} {self.scale:g}"

    @property
    def sign(self) -> int:
        """1 where a larger score is better, else -1."""
        return 1 if self.higher_is_better else -1

    def merit(self, value: float) -> float:
        """A score or a difference, negated where a smaller score is better."""
        return self.sign * value


@functools.cache
def scoring(metric: str) -> Scoring:
    """The notation of a metric's scores.

    Raises:
        UserError: for an unknown metric.
    """
    found = find_metric(metric)
    return Scoring(TITLES.get(metric, metric), found.scale, found.higher_is_better)


def title(metric: str) -> str:
    """The title of a metric, which may be unknown to our task kinds, as in published numbers."""
    return TITLES.get(metric, metric)
