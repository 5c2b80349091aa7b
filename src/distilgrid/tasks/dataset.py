"""A prepared data set on disk: `dataset.json` and one parquet file per split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.artefacts import read_json, verified
from distilgrid.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

TEXT_COLUMNS = ("text_a", "text_b")


@dataclass(frozen=True)
class Dataset:
    """A prepared data set.

    Attributes:
        folder: where its files lie.
        key: its recipe key.
        task: the task's name.
        labels: label names in order; empty for a regression.
        regression: whether labels are real numbers.
        metrics: metric names; the first is the main one.
        validation: names of the splits that scores are reported on; the first gives the main score.
        notes: what tables must say about the rows.
    """

    folder: Path
    key: str
    task: str
    labels: tuple[str, ...]
    regression: bool
    metrics: tuple[str, ...]
    validation: tuple[str, ...]
    notes: tuple[str, ...]
    splits: dict[str, Any]

    @property
    def outputs(self) -> int:
        """Width of a model's logits: the number of labels, or 1 for a regression."""
        return 1 if self.regression else len(self.labels)

    @cached_property
    def pair(self) -> bool:
        """Whether rows are sentence pairs."""
        return bool(self.splits["train"]["pair"])

    def split(self, name: str) -> "pd.DataFrame":
        """The rows of a split: `text_a`, `text_b` (pairs only), `label`, `example_id`.

        Raises:
            UserError: for an unknown split.
        """
        import pandas as pd

        if name not in self.splits:
            raise UserError(f"{self.folder}: no split '{name}'; {did_you_mean(name, self.splits)}")
        return pd.read_parquet(self.folder / f"{name}.parquet")


def open_dataset(folder: Path | str) -> Dataset:
    """A prepared data set, its files verified.

    Raises:
        UserError: when it is missing or damaged.
    """
    run = verified(folder, stage="prepare")
    stored = read_json(Path(folder) / "dataset.json")
    return Dataset(
        folder=Path(folder),
        key=run["key"],
        task=stored["task"],
        labels=tuple(stored["labels"]),
        regression=stored["regression"],
        metrics=tuple(stored["metrics"]),
        validation=tuple(stored["validation"]),
        notes=tuple(stored["notes"]),
        splits=stored["splits"],
    )


def texts(frame: "pd.DataFrame") -> tuple[list[str], list[str] | None]:
    """The first texts and, for pairs, the second texts of a split's rows."""
    second = frame["text_b"].tolist() if "text_b" in frame.columns else None
    return frame["text_a"].tolist(), second


def example_ids(columns: Sequence[Sequence[str]]) -> list[int]:
    """One id per row: the first 8 bytes of the SHA-256 of its texts, as a signed integer.

    The id addresses a row by its content, so recorded teacher outputs never depend on row order.
    """
    import hashlib

    joined = ("\x1f".join(row) for row in zip(*columns, strict=True))
    return [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True) for text in joined]
