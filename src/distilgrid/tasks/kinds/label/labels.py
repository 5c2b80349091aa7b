"""A set of labels: found in the training rows, and looked up for each row."""

import math
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UNPRINTABLE, UserError
from distilgrid.tasks.rows import as_texts, blank, check_columns
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd


def label_set(spec: TaskSpec, train: "pd.DataFrame", origin: str) -> list[str]:
    """The labels of a task in order. Raises UserError when the file has no rows, no label column, too few or too many
    labels, or some that are no text."""
    check_columns(train, [spec.label], origin)
    if spec.labels is not None:
        return spec.labels
    as_texts(train[spec.label], origin)
    found = sorted({str(value) for value in train[spec.label][~blank(train[spec.label])]}, key=_natural)
    _check_printable(found, spec.label, origin)
    if len(found) < 2:
        raise UserError(f"{origin}: column '{spec.label}' holds {len(found)} label(s); a task needs at least two")
    if "f1" in spec.metrics and len(found) != 2:
        raise UserError(f"{origin}: column '{spec.label}' holds {len(found)} labels; the metric f1 is for two")
    return found


def _check_printable(labels: list[str], column: str, origin: str) -> None:
    """Refuse labels that a table cannot show: `a` and `a` with a control character behind it look alike."""
    odd = next((label for label in labels if UNPRINTABLE.search(label)), None)
    if odd is not None:
        raise UserError(f"{origin}: column '{column}': label '{odd}' holds a control character; rename it")


def label_codes(frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> np.ndarray:
    """Label numbers (N,): integers stay where labels are words, as in GLUE; anything else is looked up by name. Raises
    UserError for a label outside the set, naming its row."""
    column = frame[spec.label]
    if column.dtype.kind in "iu" and all(_natural(label)[0] for label in labels):
        codes = column.to_numpy(dtype=np.int64)
        bad = np.flatnonzero((codes < 0) | (codes >= len(labels)))
    else:
        known = {label: i for i, label in enumerate(labels)}
        codes = np.array([known.get(str(value), -1) for value in column], dtype=np.int64)
        bad = np.flatnonzero(codes < 0)
    if len(bad):
        shown = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
        raise UserError(
            f"{origin}: row {bad[0] + 1}: label '{column.iloc[bad[0]]}' is outside the set ({shown}); "
            "correct it or set the task's labels"
        )
    return codes


def _natural(label: str) -> tuple[int, float, str]:
    """A sort key: numbers by value, then words."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (0, number, label) if math.isfinite(number) else (1, 0.0, label)
