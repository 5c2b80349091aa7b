"""Rows from a user's CSV files, JSON lines and parquet files. Light: reads rows on use."""

from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.tasks.json_lines import read_json_lines
from distilgrid.tasks.sources import Folders, Raw, files_revision
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.tables import Form, read_csv, read_parquet

if TYPE_CHECKING:
    import pandas as pd


def revision(spec: TaskSpec, folders: Folders) -> str:
    """Fingerprint of the files. Raises UserError when one is missing."""
    return files_revision(_files(spec))


def load(spec: TaskSpec, folders: Folders) -> Raw:
    """Read the rows, split by the column that names splits. Raises UserError for a missing or unreadable file."""
    read = {split: _read(path, spec) for split, path in _files(spec).items()}
    frames = {split: frame for split, (frame, _) in read.items()}
    notes = [note for _, notes in read.values() for note in notes]
    return Raw(_by_column(frames["train"], spec) if spec.split_column else frames, notes)


def _read(path: Path, spec: TaskSpec) -> "tuple[pd.DataFrame, list[str]]":
    """The rows of a file, and what tables must say about them."""
    if spec.scheme == "parquet":
        return read_parquet(path), []
    form = Form(spec.columns, spec.label, spec.delimiter, spec.encoding)
    return read_csv(path, form) if spec.scheme == "csv" else (read_json_lines(path, form), [])


def _files(spec: TaskSpec) -> dict[str, Path]:
    files = {"train": Path(spec.locator).expanduser()}
    if spec.validation_source:
        files[spec.validation[0]] = Path(spec.validation_source.partition(":")[2]).expanduser()
    for path in files.values():
        with readable_os_errors(path):
            if path.is_dir():
                raise UserError(f"{path}: is a folder; name one file in it")
            if not path.is_file():
                raise UserError(f"{path}: no such file; check the task's source")
    return files


def _by_column(frame: "pd.DataFrame", spec: TaskSpec) -> "dict[str, pd.DataFrame]":
    """The frames of the splits, indexed by the rows of their file."""
    if spec.split_column not in frame.columns:
        raise UserError(f"{spec.locator}: no column '{spec.split_column}' (split_column); found {list(frame.columns)}")
    column = frame[spec.split_column]
    values = column.astype(object).map(str)  # astype(str) would decode bytes
    empty = [place for place, value in enumerate(column.isna() | values.str.strip().eq("")) if value]
    if empty:
        row, count = column.index[empty[0]] + 1, len(empty)
        raise UserError(f"{spec.locator}: row {row}: column '{column.name}' is empty ({count} row(s)); fill or remove")
    allowed = sorted({"train", "dev", *spec.validation})
    for row, value in zip(values.index, values, strict=True):
        if value not in allowed:
            said = f"row {row + 1}: column '{column.name}' holds '{value}'; allowed are {', '.join(allowed)}"
            raise UserError(f"{spec.locator}: {said}; correct it, or name the split under the task's validation")
    if "train" not in set(values):
        raise UserError(f"{spec.locator}: column '{column.name}' marks no row as train; it holds {sorted(set(values))}")
    return {value: frame[values == value] for value in sorted(set(values))}
