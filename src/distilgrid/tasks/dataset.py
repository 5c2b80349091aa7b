"""A prepared data set on disk: `dataset.json` and one parquet file per split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import canonical_json
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.kind_table import find_kind

if TYPE_CHECKING:
    import pandas as pd

TEXT_COLUMNS = ("text_a", "text_b")
SEPARATOR = "\x1f"
COMMON = ("task", "kind", "labels", "metrics", "validation", "notes", "splits")
"""What `dataset.json` says of every kind."""


@dataclass(frozen=True)
class Dataset:
    """A prepared data set."""

    folder: Path  # folder of the files
    key: str  # recipe key
    task: str  # name of the task
    kind: str  # name of its kind
    labels: tuple[str, ...]  # label names in order; empty for a kind without a set
    metrics: tuple[str, ...]  # metric names; the first is the main one
    validation: tuple[str, ...]  # splits that scores are reported on; the first gives the main score
    notes: tuple[str, ...]  # remarks on the rows that tables must show
    splits: dict[str, Any]  # rows and label counts by split
    subset_seed: int = 0  # of shares of the training rows, independent of the training seeds
    details: Mapping[str, Any] = field(default_factory=dict)  # facts that the kind adds

    @property
    def task_kind(self) -> TaskKind:
        """The kind, which owns everything that depends on what a row is."""
        return find_kind(self.kind)

    @property
    def outputs(self) -> int:
        """Width of a model's outputs."""
        return self.task_kind.outputs(self.labels)

    @property
    def pair(self) -> bool:
        """Whether rows are sentence pairs."""
        return bool(self.details.get("pair"))

    def split(self, name: str) -> "pd.DataFrame":
        """The rows of a split, in the columns that the kind reads. Raises UserError for an unknown split."""
        import pandas as pd

        return pd.read_parquet(self.file(name), columns=self.task_kind.rows().columns)

    def file(self, name: str) -> Path:
        """The file of a split. Raises UserError for an unknown split."""
        if name not in self.splits:
            raise UserError(f"{self.folder}: no split '{name}'; {did_you_mean(name, self.splits)}")
        return self.folder / f"{name}.parquet"


def open_dataset(folder: Path | str) -> Dataset:
    """Open a prepared data set and verify its files. Raises UserError when it is missing or damaged."""
    run = verified(folder, stage="prepare")
    stored = read_json(Path(folder) / "dataset.json")
    listed: dict[str, Any] = {name: tuple(stored[name]) for name in ("labels", "metrics", "validation", "notes")}
    details = {name: value for name, value in stored.items() if name not in COMMON}
    folder, splits = Path(folder), stored["splits"]
    listed |= {"splits": splits, "subset_seed": run["recipe"]["data"]["seed"], "details": details}
    return Dataset(folder, run["key"], stored["task"], stored["kind"], **listed)


def texts(frame: "pd.DataFrame") -> tuple[list[str], list[str] | None]:
    """The first texts and, for pairs, the second texts of a split's rows."""
    second = frame["text_b"].tolist() if "text_b" in frame.columns else None
    return frame["text_a"].tolist(), second


def example_ids(columns: Sequence[Sequence[str]]) -> list[int]:
    """One id per row: the first 8 bytes of the SHA-256 of its texts, as a signed integer.

    The id addresses a row by its content, so recorded teacher outputs never depend on row order.
    """
    return [content_id(_joined(row).encode()) for row in zip(*columns, strict=True)]


def _joined(row: Sequence[str]) -> str:
    """The texts of a row as one; texts that hold the separator themselves, so that no other row reads alike."""
    if len(row) > 1 and any(SEPARATOR in text for text in row):
        return canonical_json(row)
    return SEPARATOR.join(row)


def content_id(content: bytes) -> int:
    """The first 8 bytes of the SHA-256 of some bytes, as a signed integer."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)
