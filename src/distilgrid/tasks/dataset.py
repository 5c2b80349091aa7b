"""Prepared rows on disk: a task's data set, rows that augmentation made of it, and seeded subsets of both.

Light: imports NumPy and pandas on use.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import canonical_json
from distilgrid.core.finished import open_finished
from distilgrid.tasks.kind import TaskKind, find_kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TEXT_COLUMNS = ("text_a", "text_b")
SEPARATOR = "\x1f"
TOGETHER = 10  # copies of a row that a sample takes one after the other


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
        return open_finished(self.folder, only=()).table(self.file(name).name, self.task_kind.rows().columns)

    def ids(self, name: str) -> "dict[str, pd.Series[str]]":
        """The user's names of a split's rows as `id`, where the task's spec has a column of them."""
        found = open_finished(self.folder, only=())
        return dict(found.table(self.file(name).name, ["id"])) if "id" in self.details else {}

    def file(self, name: str) -> Path:
        """The file of a split. Raises UserError for an unknown split."""
        if name not in self.splits:
            raise UserError(f"{self.folder}: no split '{name}'; {did_you_mean(name, self.splits)}")
        return open_finished(self.folder, only=()).path(f"{name}.parquet")


@dataclass(frozen=True)
class AugmentedRows:
    """Rows that an augmentation made."""

    folder: Path  # folder of the files
    key: str  # recipe key
    soft: bool  # whether a teacher labelled the rows, in a column `probabilities`

    def split(self, name: str) -> "pd.DataFrame":
        """Columns `text_a`, `text_b` (pairs only), `label`, `example_id`, `parents` (example ids) and `copy`."""
        return open_finished(self.folder, only=()).table(f"{name}.parquet")


RowsOnDisk: TypeAlias = Dataset | AugmentedRows


def open_dataset(folder: Path | str) -> Dataset:
    """Open a prepared data set and verify its files. Raises UserError when it is missing or damaged."""
    found = open_finished(folder, stage="prepare")
    run, stored = found.run, found.json("dataset.json")
    listed: dict[str, Any] = {name: tuple(stored[name]) for name in ("labels", "metrics", "validation", "notes")}
    details = {name: value for name, value in stored.items() if name not in Dataset.__dataclass_fields__}
    folder, splits = Path(folder), stored["splits"]
    listed |= {"splits": splits, "subset_seed": run["recipe"]["data"]["seed"], "details": details}
    return Dataset(folder, run["key"], stored["task"], stored["kind"], **listed)


def open_augmented(folder: Path | str) -> AugmentedRows:
    """Open augmented rows and verify their files. Raises UserError when they are missing or damaged."""
    run = open_finished(folder, stage="augment").run
    return AugmentedRows(Path(folder), run["key"], run["recipe"]["settings"]["labels"] == "teacher")


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


def limit_rows(frame: "pd.DataFrame", count: int, *, seed: int, kind: TaskKind, purpose: str) -> "pd.DataFrame":
    """A seeded subset of `count` rows, stratified by a kind, in their original order."""
    if count >= len(frame):
        return frame
    ids, strata = frame["example_id"].to_numpy(), kind.rows().strata(frame)
    return frame[stratified_sample(ids, strata, count=count, seed=seed, purpose=purpose)].reset_index(drop=True)


def stratified_sample(
    ids: "np.ndarray", labels: "np.ndarray | None", *, count: int, seed: int, purpose: str
) -> "np.ndarray":
    """A boolean mask (N,) of `count` rows that keeps the shares of the labels (N,); without labels, one stratum.

    Every label gives a row, even with fewer seats than labels. A smaller sample is part of a larger one. Copies of a
    row after the first TOGETHER take turns alone, or a frequent text would fill the sample, or be absent from it.
    """
    import numpy as np

    order = np.argsort(ids, kind="stable") if labels is None else np.lexsort((labels, ids))
    _, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
    copies, own = np.arange(len(ids)) - np.repeat(starts, counts), ids.copy()
    for row, copy in zip(order[copies >= TOGETHER], copies[copies >= TOGETHER], strict=True):
        own[row] = content_id(f"{ids[row]}/{copy}".encode())
    turns, places, _ = take_turns(own, labels, seed=seed, purpose=purpose)
    first = places[turns] == 0
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[np.concatenate([turns[first], turns[~first]])[: max(count, first.sum())]] = True
    return chosen


def take_turns(
    ids: "np.ndarray", labels: "np.ndarray | None", *, seed: int, purpose: str
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Order rows so that any first k keep the shares of the labels (N,) (Sainte-Lague).

    Rows rank by a hash of (seed, purpose, example id), so purposes are independent. They take turns by their place
    within their label over the label's size. Returns row numbers by turn, places and sizes, each (N,).
    """
    import numpy as np

    ranks = np.array([content_id(f"{seed}/{purpose}/{int(i)}".encode()) % 2**64 for i in ids], dtype=np.uint64)
    strata = np.zeros(len(ids), dtype=np.int64) if labels is None else labels
    _, members, counts = np.unique(strata, return_inverse=True, return_counts=True)
    order, places, sizes = np.lexsort((ranks, members)), np.empty(len(ids), dtype=np.int64), counts[members]
    places[order] = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the label
    return np.lexsort((ranks, (places + 0.5) / sizes)), places, sizes
