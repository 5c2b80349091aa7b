"""Scores of one metric as readers see them: scale, direction and name come from the metric alone."""

import functools
from dataclasses import dataclass

from distilgrid.reporting import wording
from distilgrid.tasks.kind_table import find_metric

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
    """One metric.

    Attributes:
        title: its name in tables, plots and sentences.
        scale: the factor between a score and what readers see.
        higher_is_better: whether a larger score is a better one.
    """

    title: str
    scale: float
    higher_is_better: bool

    def score(self, value: float) -> str:
        """A score."""
        return wording.scaled(value, self.scale)

    def signed(self, value: float) -> str:
        """A difference of scores, with its sign."""
        return wording.signed(value, self.scale)

    def bounds(self, low: float, high: float) -> str:
        """An interval of scores or differences."""
        return wording.bounds(low, high, self.scale)

    def points(self, value: float) -> str:
        """A difference of scores with its sign and unit."""
        return f"{self.signed(value)}{self.unit}"

    @property
    def unit(self) -> str:
        """The unit behind a difference: ` points` of scores times 100, nothing for a metric in its own unit."""
        return " points" if self.scale == HUNDRED else ""

    @property
    def factor(self) -> str:
        """The scale under a column's title, such as x 100."""
        return "" if self.scale == 1 else f"{wording.TIMES}{self.scale:g}"

    @property
    def axis(self) -> str:
        """The label of a plot's axis."""
        return self.title if self.scale == 1 else f"{self.title} {wording.TIMES} {self.scale:g}"

    @property
    def sentence(self) -> str:
        """The title as the first word of a sentence."""
        return f"{self.title[0].upper()}{self.title[1:]}"

    @property
    def scaled_sentence(self) -> str:
        """The same with the scale."""
        return self.sentence if self.scale == 1 else f"{self.sentence} {wording.TIMES} {self.scale:g}"

    @property
    def sign(self) -> int:
        """1 where a larger score is a better one, else -1."""
        return 1 if self.higher_is_better else -1

    def merit(self, value: float) -> float:
        """A score or a difference as a number of which more is better."""
        return self.sign * value


@functools.cache
def scoring(metric: str) -> Scoring:
    """How scores of a metric are shown and compared.

    Raises:
        UserError: for an unknown metric.
    """
    found = find_metric(metric)
    return Scoring(TITLES.get(metric, metric), found.scale, found.higher_is_better)


def title(metric: str) -> str:
    """The name of a metric that our task kinds need not know, such as one of published numbers."""
    return TITLES.get(metric, metric)
