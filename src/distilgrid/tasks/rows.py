"""Checks of a source's rows that kinds share: columns, texts, missing values."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.tasks.dataset import TEXT_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.spec import TaskSpec

NO_TEXT = (bytes, bytearray, list, tuple, dict, np.ndarray)
NOTHING = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*")


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


def as_texts(column: "pd.Series[str]", origin: str) -> list[str]:
    """Return a column's values as texts, numbers written out. Raises UserError for bytes, lists and the like."""
    values: Sequence[object] = column.tolist()
    odd = next((row for row, value in enumerate(values) if isinstance(value, NO_TEXT)), None)
    if odd is not None:
        kind = type(values[odd]).__name__
        raise UserError(f"{origin}: row {odd + 1}: column '{column.name}' holds no text ({kind}); store strings")
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
            f"{origin}: row {rows[0] + 1}: column '{column.name}' is empty ({len(rows)} row(s)); fill or remove"
        )
