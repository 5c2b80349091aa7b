"""From a source's raw rows to checked, numbered rows: columns, labels, missing texts, splits."""

from typing import TYPE_CHECKING

import numpy as np

from distilgrid.errors import UserError, did_you_mean
from distilgrid.params import Data
from distilgrid.tasks.dataset import TEXT_COLUMNS, example_ids
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.subset import stratified_sample

if TYPE_CHECKING:
    import pandas as pd

MISSING_LABEL = {"", "nan", "None", "<NA>"}


def label_set(spec: TaskSpec, train: "pd.DataFrame", origin: str) -> list[str]:
    """The labels of a task in order; empty for a regression.

    Raises:
        UserError: when the file has no label column, or fewer than two labels.
    """
    if spec.regression:
        return []
    _check_column(train, spec.label, origin)
    if spec.labels is not None:
        return spec.labels
    found = sorted({str(value) for value in train[spec.label]} - MISSING_LABEL, key=_natural)
    if len(found) < 2:
        raise UserError(f"{origin}: column '{spec.label}' holds {len(found)} label(s); a task needs at least two")
    return found


def check_rows(frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> "pd.DataFrame":
    """The rows of one split as `text_a`, `text_b` (pairs only), `label`, `example_id`.

    Raises:
        UserError: for a missing column, an empty split, a missing text or a label outside the set, naming the row.
    """
    import pandas as pd

    for column in [*spec.text, spec.label]:
        _check_column(frame, column, origin)
    if len(frame) == 0:
        raise UserError(f"{origin}: no rows; a split must not be empty")
    columns = [_texts(frame[column], column, origin) for column in spec.text]
    values = {name: column for name, column in zip(TEXT_COLUMNS, columns, strict=False)}
    values["label"] = _numbers(frame[spec.label], spec, origin) if spec.regression else _codes(frame, spec, labels, origin)
    return pd.DataFrame({**values, "example_id": np.array(example_ids(columns), dtype=np.int64)})


def complete_splits(
    splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data
) -> "dict[str, pd.DataFrame]":
    """Train, dev and validation rows, where a source brings fewer: held out of train, seeded and stratified.

    `dev` selects checkpoints and `validation` reports, so no row serves both.
    """
    splits = dict(splits)
    if spec.validation[0] not in splits:
        wanted = round(spec.validation_fraction * len(splits["train"]))
        splits[spec.validation[0]], splits["train"] = _held_out(splits["train"], spec, data, wanted, "validation")
    if "dev" not in splits:
        wanted = min(round(data.dev_fraction * len(splits["train"])), data.max_dev_rows or len(splits["train"]))
        splits["dev"], splits["train"] = _held_out(splits["train"], spec, data, wanted, "dev")
    elif data.max_dev_rows is not None:
        splits["dev"] = limit_rows(splits["dev"], data.max_dev_rows, seed=data.seed, regression=spec.regression, purpose="dev")
    if data.max_train_rows is not None:
        splits["train"] = limit_rows(
            splits["train"], data.max_train_rows, seed=data.seed, regression=spec.regression, purpose="train"
        )
    return splits


def limit_rows(frame: "pd.DataFrame", count: int, *, seed: int, regression: bool, purpose: str) -> "pd.DataFrame":
    """At most about `count` rows of a split, in their order: a seeded, stratified subset."""
    if count >= len(frame):
        return frame
    return frame[_sample(frame, count, seed, regression, purpose)].reset_index(drop=True)


def _held_out(
    frame: "pd.DataFrame", spec: TaskSpec, data: Data, count: int, purpose: str
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    mask = _sample(frame, max(1, count), data.seed, spec.regression, purpose)
    if mask.all():
        raise UserError(f"{spec.source}: {len(frame)} training row(s) are too few to hold out a '{purpose}' split; add rows")
    return frame[mask].reset_index(drop=True), frame[~mask].reset_index(drop=True)


def _sample(frame: "pd.DataFrame", count: int, seed: int, regression: bool, purpose: str) -> np.ndarray:
    labels = None if regression else frame["label"].to_numpy()
    return stratified_sample(frame["example_id"].to_numpy(), labels, count=count, seed=seed, purpose=purpose)


def _check_column(frame: "pd.DataFrame", column: str, origin: str) -> None:
    if column not in frame.columns:
        raise UserError(f"{origin}: no column '{column}'; {did_you_mean(column, [str(c) for c in frame.columns])}")


def _texts(column: "pd.Series[str]", name: str, origin: str) -> list[str]:
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise UserError(f"{origin}: row {missing[0] + 1}: column '{name}' is missing ({len(missing)} such row(s)); fill or remove")
    return [str(value) for value in column]


def _numbers(column: "pd.Series[float]", spec: TaskSpec, origin: str) -> np.ndarray:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(f"{origin}: row {bad[0] + 1}: label '{column.iloc[bad[0]]}' in '{spec.label}' is not a number")
    return numbers


def _codes(frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> np.ndarray:
    """Label numbers: integers already in range stay, as in GLUE; names are looked up."""
    column = frame[spec.label]
    if column.dtype.kind in "iu" and spec.labels is not None:
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
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
