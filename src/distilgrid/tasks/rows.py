"""From a source's raw rows to checked, numbered rows: columns, labels, missing texts, splits."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UNPRINTABLE, UserError, did_you_mean
from distilgrid.tasks.dataset import TEXT_COLUMNS, example_ids
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.subset import stratified_sample

if TYPE_CHECKING:
    import pandas as pd

NO_TEXT = (bytes, bytearray, list, tuple, dict, np.ndarray)
NOTHING = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*")


def label_set(spec: TaskSpec, train: "pd.DataFrame", origin: str) -> list[str]:
    """The labels of a task in order; empty for a regression.

    Raises:
        UserError: when the file has no rows, no label column, too few or too many labels, or some that are no text.
    """
    if spec.regression:
        return []
    check_columns(train, [spec.label], origin)
    if spec.labels is not None:
        return spec.labels
    _texts(train[spec.label], origin)
    found = sorted({str(value) for value in train[spec.label][~_blank(train[spec.label])]}, key=_natural)
    _check_labels(found, spec.label, origin)
    if len(found) < 2:
        raise UserError(f"{origin}: column '{spec.label}' holds {len(found)} label(s); a task needs at least two")
    if "f1" in spec.metrics and len(found) != 2:
        raise UserError(f"{origin}: column '{spec.label}' holds {len(found)} labels; the metric f1 is for two")
    return found


def _check_labels(labels: list[str], column: str, origin: str) -> None:
    """Refuse labels that a table cannot show: `a` and `a` with a control character behind it look alike."""
    odd = next((label for label in labels if UNPRINTABLE.search(label)), None)
    if odd is not None:
        raise UserError(f"{origin}: column '{column}': label '{odd}' holds a control character; rename it")


def check_rows(frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> "pd.DataFrame":
    """The rows of one split as `text_a`, `text_b` (pairs only), `label`, `example_id`.

    Raises:
        UserError: for a missing column, an empty split, a missing text or a label outside the set, naming the row.
    """
    import pandas as pd

    check_columns(frame, [*spec.text, spec.label], origin)
    values = check_texts(frame, spec, origin)
    check_filled(frame[spec.label], origin)
    numbers = _numbers(frame[spec.label], origin) if spec.regression else label_codes(frame, spec, labels, origin)
    ids = np.array(example_ids(list(values.values())), dtype=np.int64)
    return pd.DataFrame({**values, "label": numbers, "example_id": ids})


def check_texts(frame: "pd.DataFrame", spec: TaskSpec, origin: str) -> dict[str, list[str]]:
    """The texts of some rows as `text_a`, `text_b` (pairs only).

    Raises:
        UserError: for a missing column, no rows or, in a user's file, a missing text, naming the row.
    """
    check_columns(frame, spec.text, origin)
    if spec.own_file:  # published corpora do hold a few empty texts
        for name in spec.text:
            check_filled(frame[name], origin)
    return dict(zip(TEXT_COLUMNS, (_texts(frame[name], origin) for name in spec.text), strict=False))


def complete_splits(splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data) -> "dict[str, pd.DataFrame]":
    """Train, dev and validation rows, where a source brings fewer: held out of train, seeded and stratified.

    `dev` selects checkpoints and `validation` reports, so no row serves both.
    """
    splits = dict(splits)
    if spec.validation[0] not in splits:
        wanted = round(spec.validation_fraction * len(splits["train"]))
        splits[spec.validation[0]], splits["train"] = _held_out(splits["train"], spec, data, wanted, "validation")
    absent = [name for name in spec.validation if name not in splits]
    if absent:
        raise UserError(
            f"{spec.source}: brings no rows for the validation split '{absent[0]}'; add them or drop its name"
        )
    if "dev" not in splits:
        wanted = min(round(data.dev_fraction * len(splits["train"])), data.max_dev_rows or len(splits["train"]))
        splits["dev"], splits["train"] = _held_out(splits["train"], spec, data, wanted, "dev")
    elif data.max_dev_rows is not None:
        splits["dev"] = limit_rows(
            splits["dev"], data.max_dev_rows, seed=data.seed, regression=spec.regression, purpose="dev"
        )
    caps = {"train": data.max_train_rows, **dict.fromkeys(spec.validation, data.max_validation_rows)}
    for name, cap in caps.items():
        if cap is not None:
            splits[name] = limit_rows(splits[name], cap, seed=data.seed, regression=spec.regression, purpose=name)
    return splits


def limit_rows(frame: "pd.DataFrame", count: int, *, seed: int, regression: bool, purpose: str) -> "pd.DataFrame":
    """At most about `count` rows of a split, in their order: a seeded, stratified subset."""
    if count >= len(frame):
        return frame
    return frame[_sample(frame, count, seed, regression, purpose)].reset_index(drop=True)


def _held_out(
    frame: "pd.DataFrame", spec: TaskSpec, data: Data, count: int, purpose: str
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    mask = _sample(frame, max(1, count), data.seed, spec.regression, purpose, held_out=True)
    if not mask.any():
        raise UserError(
            f"{spec.source}: {len(frame)} training row(s) are too few to hold out a '{purpose}' split; add rows"
        )
    return frame[mask].reset_index(drop=True), frame[~mask].reset_index(drop=True)


def _sample(
    frame: "pd.DataFrame", count: int, seed: int, regression: bool, purpose: str, *, held_out: bool = False
) -> np.ndarray:
    labels = None if regression else frame["label"].to_numpy()
    ids = frame["example_id"].to_numpy()
    return stratified_sample(ids, labels, count=count, seed=seed, purpose=purpose, held_out=held_out)


def check_columns(frame: "pd.DataFrame", columns: list[str], origin: str) -> None:
    """Refuse a frame without rows or without one of the columns.

    Raises:
        UserError: naming the origin and the nearest column.
    """
    for column in columns:
        if column not in frame.columns:
            raise UserError(f"{origin}: no column '{column}'; {did_you_mean(column, [str(c) for c in frame.columns])}")
    if len(frame) == 0:
        raise UserError(f"{origin}: no rows; a split must not be empty")


def _texts(column: "pd.Series[str]", origin: str) -> list[str]:
    """A column's values as texts; numbers are written out.

    Raises:
        UserError: for bytes, lists and the like, whose Python notation nobody means, naming the first such row.
    """
    values: Sequence[object] = column.tolist()
    odd = next((row for row, value in enumerate(values) if isinstance(value, NO_TEXT)), None)
    if odd is not None:
        kind = type(values[odd]).__name__
        raise UserError(f"{origin}: row {odd + 1}: column '{column.name}' holds no text ({kind}); store strings")
    return [str(value) for value in values]


def _blank(column: "pd.Series[str]") -> np.ndarray:
    """Where a value is missing or shows nothing: white space, control characters, marks without width: (N,) boolean."""
    empty = [NOTHING.fullmatch(str(value)) is not None for value in column]
    return column.isna().to_numpy(dtype=bool) | np.array(empty, dtype=bool)


def check_filled(column: "pd.Series[str]", origin: str) -> None:
    """Refuse missing values and white space.

    Raises:
        UserError: naming the first such row.
    """
    rows = np.flatnonzero(_blank(column))
    if len(rows):
        raise UserError(
            f"{origin}: row {rows[0] + 1}: column '{column.name}' is empty ({len(rows)} such row(s)); fill or remove"
        )


def _numbers(column: "pd.Series[float]", origin: str) -> np.ndarray:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(f"{origin}: row {bad[0] + 1}: label '{column.iloc[bad[0]]}' in '{column.name}' is not a number")
    return numbers


def label_codes(frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> np.ndarray:
    """Label numbers (N,): integers stay where labels are words, as in GLUE; anything else is looked up by name.

    Raises:
        UserError: for a label outside the set, naming its row.
    """
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
