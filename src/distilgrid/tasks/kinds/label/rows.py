"""Rows of texts with one label, and the checks of columns, texts and missing values that other kinds share."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.tasks.dataset import TEXT_COLUMNS, Dataset, example_ids
from distilgrid.tasks.kind import RowReader

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.spec import TaskSpec

NO_TEXT = (bytes, bytearray, list, tuple, dict, np.ndarray)
NOTHING = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*")
SERVED = {"text_a": "text", "text_b": "text_pair"}


class LabelRows(RowReader):
    """Texts, or pairs of texts, with label numbers."""

    columns: list[str] | None = None
    placeholder: int | float = 0

    def label_set(self, spec: "TaskSpec", train: "pd.DataFrame", origin: str) -> list[str]:
        """The spec's labels, or those of the training rows, numbers before words. Raises UserError when none fit."""
        from distilgrid.tasks.label_names import found_labels

        check_columns(train, [spec.label], origin)
        if spec.labels is not None:
            return spec.labels
        as_texts(train[spec.label], origin)
        place = f"{origin}: column '{spec.label}'"
        check_filled(train[spec.label], origin)
        found = found_labels(train[spec.label], place)
        if len(found) < 2:
            raise UserError(f"{place} holds {len(found)} label(s); a task needs at least two")
        if "f1" in spec.metrics and len(found) != 2:
            raise UserError(f"{place} holds {len(found)} labels; the metric f1 is for two")
        return found

    def check(
        self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec", labels: list[str], origins: Mapping[str, str]
    ) -> "dict[str, pd.DataFrame]":
        """Check all splits and return `text_a`, `text_b` (pairs only), `label` and `example_id`, or raise UserError."""
        import pandas as pd

        checked = {}
        for split, frame in splits.items():
            codes = self.checked_codes(frame, spec.text, spec, labels, origins[split])
            columns = check_texts(frame, spec, origins[split])
            ids = np.array(example_ids(list(columns.values())), dtype=np.int64)
            checked[split] = pd.DataFrame({**columns, "label": codes, "example_id": ids})
        return checked

    def describe(self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec") -> dict[str, Any]:
        """Whether rows are pairs of texts."""
        return {"pair": len(spec.text) > 1}

    def write(self, frame: "pd.DataFrame", path: Path) -> None:
        """Write a parquet file."""
        frame.to_parquet(path, index=False, compression="zstd")

    def strata(self, frame: "pd.DataFrame") -> np.ndarray | None:
        """One group for each label."""
        return frame["label"].to_numpy()

    def example(self, dataset: Dataset, split: str, count: int) -> "pd.DataFrame | np.ndarray":
        """Columns `text`, and `text_pair` for pairs."""
        rows = dataset.split(split).head(count)
        names = [name for name in SERVED if name in rows.columns]
        return rows[names].rename(columns=SERVED).astype(object)

    def checked_codes(
        self, frame: "pd.DataFrame", inputs: list[str], spec: "TaskSpec", labels: list[str], origin: str
    ) -> np.ndarray:
        """Labels (N,) of rows whose columns all exist. Raises UserError for a missing column or label too."""
        check_columns(frame, [*inputs, spec.label], origin)
        if spec.label in inputs:
            raise UserError(f"{origin}: column '{spec.label}' is read by models and is their label; name another label")
        check_filled(frame[spec.label], origin)
        return self.codes(frame, spec, labels, origin)

    def codes(self, frame: "pd.DataFrame", spec: "TaskSpec", labels: list[str], origin: str) -> np.ndarray:
        """Label numbers (N,). Raises UserError with the first row whose label is outside the set."""
        from distilgrid.tasks.label_names import label_numbers

        return label_numbers(frame[spec.label], labels, origin)


def check_texts(frame: "pd.DataFrame", spec: "TaskSpec", origin: str) -> dict[str, list[str]]:
    """Return the texts of some rows as `text_a` and `text_b` (pairs only).

    Raises UserError for a missing column, an empty split or, in a user's file, a missing text.
    """
    check_columns(frame, spec.text, origin)
    if spec.own_file:  # published corpora do hold a few empty texts
        for name in spec.text:
            check_filled(frame[name], origin)
    return dict(zip(TEXT_COLUMNS, (as_texts(frame[name], origin) for name in spec.text), strict=False))


def check_columns(frame: "pd.DataFrame", columns: list[str], origin: str) -> None:
    """Raises UserError with the nearest column for a missing column, and for a frame without rows."""
    for column in columns:
        if column not in frame.columns:
            raise UserError(f"{origin}: no column '{column}'; {did_you_mean(column, [str(c) for c in frame.columns])}")
    if len(frame) == 0:
        raise UserError(f"{origin}: no rows; a split must not be empty")


def row_of(column: "pd.Series[Any]", place: int) -> int:
    """The number of a value's row in its file, from 1; frames are indexed by the rows of their file."""
    return int(column.index[place]) + 1


def as_texts(column: "pd.Series[str]", origin: str) -> list[str]:
    """Return a column's values as texts, numbers written out. Raises UserError for bytes, lists and the like."""
    values: Sequence[object] = column.tolist()
    odd = next((row for row, value in enumerate(values) if isinstance(value, NO_TEXT)), None)
    if odd is not None:
        kind = type(values[odd]).__name__
        raise UserError(
            f"{origin}: row {row_of(column, odd)}: column '{column.name}' holds no text ({kind}); store strings"
        )
    return [str(value) for value in values]


def blank(column: "pd.Series[str]") -> np.ndarray:
    """(N,) boolean: missing values, white space, control characters and zero-width marks."""
    empty = [NOTHING.fullmatch(str(value)) is not None for value in column]
    return column.isna().to_numpy(dtype=bool) | np.array(empty, dtype=bool)


def check_filled(column: "pd.Series[str]", origin: str) -> None:
    """Raises UserError with the first row that is missing or white space."""
    rows = np.flatnonzero(blank(column))
    if len(rows):
        raise UserError(
            f"{origin}: row {row_of(column, rows[0])}: column '{column.name}' is empty ({len(rows)} row(s)); "
            "fill or remove"
        )


ROWS = LabelRows()
