"""Rows of texts with one label."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.tasks.kind_parts import RowReader
from distilgrid.tasks.kinds.label.labels import label_codes, label_set
from distilgrid.tasks.rows import check_columns, check_filled, text_rows
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.dataset import Dataset

SERVED = {"text_a": "text", "text_b": "text_pair"}


class LabelRows(RowReader):
    """Texts, or pairs of texts, with label numbers."""

    columns: list[str] | None = None
    placeholder: int | float = 0

    def label_set(self, spec: TaskSpec, train: "pd.DataFrame", origin: str) -> list[str]:
        """Those of the spec, else those of the training rows."""
        return label_set(spec, train, origin)

    def check(
        self, splits: "Mapping[str, pd.DataFrame]", spec: TaskSpec, labels: list[str], origins: Mapping[str, str]
    ) -> "dict[str, pd.DataFrame]":
        """The rows as `text_a`, `text_b` (pairs only), `label`, `example_id`. Raises UserError for a missing column, an
        empty split, a missing text or a label that does not fit."""
        return {split: self._checked(frame, spec, labels, origins[split]) for split, frame in splits.items()}

    def describe(self, splits: "Mapping[str, pd.DataFrame]", spec: TaskSpec) -> dict[str, Any]:
        """Whether rows are pairs of texts."""
        return {"pair": len(spec.text) > 1}

    def write(self, frame: "pd.DataFrame", path: Path) -> None:
        """As a parquet file."""
        frame.to_parquet(path, index=False, compression="zstd")

    def strata(self, frame: "pd.DataFrame") -> np.ndarray | None:
        """One group for each label."""
        return frame["label"].to_numpy()

    def example(self, dataset: "Dataset", split: str, count: int) -> "pd.DataFrame | np.ndarray":
        """`text`, and `text_pair` for pairs."""
        rows = dataset.split(split).head(count)
        names = [name for name in SERVED if name in rows.columns]
        return rows[names].rename(columns=SERVED).astype(object)

    def codes(self, frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> np.ndarray:
        """(N,) label numbers. Raises UserError for a label outside the set, naming its row."""
        return label_codes(frame, spec, labels, origin)

    def _checked(self, frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> "pd.DataFrame":
        check_columns(frame, [*spec.text, spec.label], origin)
        check_filled(frame[spec.label], origin)
        return text_rows(frame, spec, origin, labels=self.codes(frame, spec, labels, origin))


ROWS = LabelRows()
