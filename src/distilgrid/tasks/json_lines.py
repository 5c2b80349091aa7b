"""JSON lines as frames: one object in each line. Light: imports pandas on use."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.tasks.tables import Form, encoding_of, not_decoded, text_content

if TYPE_CHECKING:
    import pandas as pd


def read_json_lines(path: Path, form: Form) -> "pd.DataFrame":
    """Read all rows of a file of JSON lines; a key that a row lacks, or null, is a missing value.

    Raises UserError when the file is unreadable, and with the line for anything but an object, a key that comes twice,
    and a text that is no Unicode.
    """
    import pandas as pd

    content = text_content(path, "jsonl")
    encoding = encoding_of(content, form, path)
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError:
        raise not_decoded(path, content, encoding) from None
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    rows = [_row(line, f"{path}: line {number}") for number, line in lines]
    if not rows:
        raise UserError(f"{path}: no rows; a split must not be empty")
    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})


def _row(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_object)
        if "\\u" in line:  # only an escape may hold half a surrogate pair
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{place}: holds half a surrogate pair, which is not valid text; remove it") from None
    except _KeyTwiceError as error:
        raise UserError(f"{place}: the key '{error}' comes twice; rename or remove one") from None
    except RecursionError:
        raise UserError(f"{place}: brackets within brackets, thousands of them deep; remove them") from None
    except ValueError as error:
        raise UserError(f"{place}: not valid JSON ({error}){_remedy(line)}") from None
    if not isinstance(row, dict):
        raise UserError(f"{place}: holds {type(row).__name__}, not an object; write one object in each line")
    return row


def _remedy(line: str) -> str:
    """What to do about a line that is not JSON."""
    start = line.strip()[:1]
    if start == "[":
        return "; an array becomes JSON lines with one object in each line"
    if start == "{":
        return "; write each object whole in one line"
    return "; write csv: in the task's source if its rows are those of a table"


class _KeyTwiceError(Exception):
    """A key that an object holds twice."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _KeyTwiceError(next(name for i, name in enumerate(names) if name in names[:i]))
    return found


def _column(values: list[Any]) -> "pd.Series[Any]":
    """Values as they are; numbers become a numeric column where none is missing, so that 1 stays 1."""
    import pandas as pd

    column: pd.Series[Any] = pd.Series(values, dtype=object)
    return column if column.isna().any() else column.infer_objects()
