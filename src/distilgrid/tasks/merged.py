"""Stray quotation marks of CSV files: rows that they merged, and texts that they changed. Imported on use."""

import csv
import io
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("distilgrid")

BREAK = re.compile(r"[\r\n]+")


def warn_of_lost_marks(text: str, separator: str, path: Path) -> None:
    """Warn of a text that goes on after its closing quotation mark, whose marks every reader of CSV leaves out."""
    csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for _ in reader:
            pass
    except csv.Error:
        said = "a text goes on after its closing quotation mark, and its marks are lost; write marks within it twice"
        log.warning("%s: line %d: %s", path, reader.line_num, said)


def merged_notes(frame: "pd.DataFrame", separator: str, *, label: str | None, path: Path) -> list[str]:
    """Warn of cells that hold line breaks and the separator; return what tables must say of lines that read as rows.

    A line reads as a row if it has the fields of the header, and the label of some other row in their place.
    """
    found: dict[int, str] = {}
    for name in frame.columns:
        cells = frame[name].astype(object)
        broken = cells.str.contains(BREAK) & cells.str.contains(separator, regex=False)
        found |= dict.fromkeys(broken.index[broken.fillna(False).astype(bool)].tolist(), str(name))
    if not found:
        return []
    first = min(found)
    said = f"row {first + 1}: column '{found[first]}' holds line breaks and {separator!r}, as {len(found):,} row(s) do"
    log.warning("%s: %s; a stray quotation mark merges rows, so look at them", path, said)
    rows = _rows_within(frame, sorted(found), separator, label) if label and label in frame.columns else []
    if not rows:
        return []
    shown = f"a stray quotation mark merges rows: row {rows[0] + 1} holds lines that read as rows, as {len(rows):,} do"
    log.warning("%s: %s", path, shown)
    return [f"{path.name}: {shown}"]


def _rows_within(frame: "pd.DataFrame", rows: list[int], separator: str, label: str) -> list[int]:
    """Those of some rows in which a line of a cell reads as a row of the file."""
    names, known = list(frame.columns), set(frame[label].dropna())
    place, suspected = names.index(label), []
    for row in rows:
        inner = [line for cell in frame.loc[row].dropna() for line in BREAK.split(str(cell))[1:-1]]
        fields = [line.split(separator) for line in inner]
        if any(len(each) == len(names) and each[place] in known for each in fields):
            suspected.append(row)
    return suspected
