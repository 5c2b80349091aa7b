"""Protocols of augmentations, and the values that these receive in addition to their settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.augmentation.base import LentTexts
    from distilgrid.tasks.dataset import Dataset


@dataclass(frozen=True)
class Surroundings:
    """Folders and device of an Augmenter."""

    teacher: Path | None = None  # folder of the fine-tuned teacher
    journal: Path | None = None  # folder for unfinished work; None keeps nothing
    device: str = "auto"  # `auto`, `cpu` or `cuda`


@dataclass(frozen=True)
class RowContext:
    """Data that new rows are made of."""

    dataset: "Dataset"
    rows: "pd.DataFrame"  # training rows of students: `text_a`, `text_b` (pairs only), `label`, `example_id`
    surroundings: Surroundings
    lent: "LentTexts | None" = None  # texts of other data sets, if the settings name any


@dataclass(frozen=True)
class Augmented:
    """New rows of a training split."""

    # `text_a`, `text_b` (pairs only), `label`, `example_id` of the new texts, `parents` (example ids of the rows that
    # a row is made of: none, one or several) and `copy` (from 0). A column `probabilities`, (C,) each, may replace
    # the labels.
    frame: "pd.DataFrame"
    unchanged: int  # rows left out because the data set holds them
    repeated: int = 0  # copies left out because they came out as an earlier copy of the same row


class RowSource(Protocol):
    """Makes new training rows."""

    def __call__(self, settings: Any, context: RowContext) -> Augmented:
        """Rows that an augmentation's settings add.

        Raises UserError when a model or a file is missing, damaged or of the wrong kind.
        """


class Augmenter(Protocol):
    """The code of an augmentation that rewrites texts."""

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One new text for each text; a text that cannot be rewritten comes back unchanged.

        A new text depends on its own text and seed, the settings and the model. Sampled back-translation depends on
        the texts of its batch too, thus on the set of (text, seed) pairs of a call, but never on their order.
        """
