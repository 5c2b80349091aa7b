"""Files of rows as frames: CSV and parquet, perhaps compressed. Light: imports pandas on use.

A frame is indexed by the rows of its file, from 0. A file's name decides nothing: results do not depend on it.
"""

import codecs
import csv
import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.tasks.compressed import content_of, is_packed
from distilgrid.tasks.merged import merged_notes, warn_of_lost_marks

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("distilgrid")

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
UTF8 = "utf-8"
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
PARQUET = b"PAR1"
HEAD = 2**20  # bytes that hold a header


@dataclass(frozen=True)
class Form:
    """How a file of text is written, and what is wanted of it."""

    wanted: Sequence[str] = ()  # columns that will be read; they tell which separator the header has
    label: str | None = None  # column of the labels, if they will be read
    delimiter: str | None = None  # separator of columns; None recognises it
    encoding: str | None = None  # None means UTF-8, or what a byte order mark says


def read_parquet(path: Path) -> "pd.DataFrame":
    """Read all rows of a parquet file. Raises UserError when it is unreadable, or two columns have one name."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(_source(path)) as file:
            table = file.read().replace_schema_metadata(None)  # notes of pandas hide columns or rename them
        _check_names(table.column_names, path)
        frame = table.to_pandas()
        _check_texts(frame)
    except UserError:
        raise
    except UnicodeDecodeError:
        raise UserError(f"{path}: a text is not UTF-8; save it as UTF-8") from None
    except Exception as error:  # pandas and pyarrow raise many types; the user needs one line
        if not content_of(path).startswith(PARQUET):
            wanted = "write csv: or jsonl: in the task's source where it holds these"
            raise UserError(f"{path}: cannot be read as a table, as it is no parquet file; {wanted}") from None
        raise _unreadable(path, error) from None
    return frame


def read_csv(path: Path, form: Form) -> "tuple[pd.DataFrame, list[str]]":
    """Read all rows of a CSV file as texts; with them, what tables must say about them.

    Only an empty field is missing: texts such as "NA" or "null" are texts. Raises UserError when the file is
    unreadable, two columns have one name, a row has more fields than the header, or a quotation mark stays open.
    """
    import pandas as pd

    content = text_content(path, "csv")
    encoding = encoding_of(content, form, path)
    header = content[:HEAD].decode(encoding, "replace").lstrip("\ufeff")
    separator = separator_of(header, form, path)
    names = _names(header, separator)
    _check_form(header, path)
    _check_names([name for name in names if name], path)  # spreadsheets leave columns without a name at the end
    try:
        frame = pd.read_csv(
            io.BytesIO(content), sep=separator, encoding=encoding, dtype=str, keep_default_na=False, na_values=[""]
        )
        _check_texts(frame)
    except UnicodeError:
        raise not_decoded(path, content, encoding) from None
    except Exception as error:  # pandas raises many types; the user needs one line
        malformed = isinstance(error, pd.errors.ParserError)
        text = content.decode(encoding, "replace")
        raise (_malformed(path, text, separator, len(names)) if malformed else _unreadable(path, error)) from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas took the first column for row names
        raise _malformed(path, content.decode(encoding), separator, len(names))
    if b'"' in content:
        warn_of_lost_marks(content.decode(encoding), separator, path)
    ends = len(frame) + content.endswith((b"\n", b"\r"))  # of lines, if no cell holds a line break
    if max(content.count(b"\n"), content.count(b"\r")) <= ends:
        return frame, []
    return frame, merged_notes(frame, separator, label=form.label, path=path)


def text_content(path: Path, scheme: str) -> bytes:
    """The bytes of a file of text, unpacked. Raises UserError for a parquet file."""
    content = content_of(path)
    if content.startswith(PARQUET):
        raise UserError(f"{path}: is a parquet file; write parquet: instead of {scheme}: in the task's source")
    return content


def _source(path: Path) -> "Path | io.BytesIO":
    return io.BytesIO(content_of(path)) if is_packed(path) else path


def encoding_of(content: bytes, form: Form, path: Path) -> str:
    """The encoding that is set, or that a byte order mark names; UTF-8 without either."""
    if form.encoding is not None:
        return form.encoding
    found = next((name for mark, name in MARKS if content.startswith(mark)), UTF8)
    if found != UTF8:
        log.info("%s: read as %s, as its byte order mark says", path, found.upper())
    return found


def _check_form(header: str, path: Path) -> None:
    """Raises UserError for a header that tells of another format or encoding."""
    if header.lstrip().startswith('{"'):
        raise UserError(f"{path}: holds JSON lines; write jsonl: instead of csv: in the task's source")
    if re.match(r"sep=.?\s", header):
        raise UserError(f"{path}: line 1 is a note to Excel, no header; remove it, and set the task's delimiter")
    if "\0" in header.replace("\r", "\n").partition("\n")[0]:
        raise UserError(f"{path}: null characters in the header; set the task's encoding, such as utf-16-le")


def separator_of(header: str, form: Form, path: Path) -> str:
    """The separator that gives most of the wanted columns, commas first. Raises UserError for a wrong setting."""

    def fit(separator: str) -> tuple[int, int]:
        names = _names(header, separator)
        hits = len(set(names) & set(form.wanted))
        return hits, 0 if hits else len(names)

    best = max(SEPARATORS, key=fit)
    if form.delimiter is None:
        if best != ",":
            log.info("%s: columns are separated by %s", path, SEPARATORS[best])
        return best
    if fit(best)[0] > fit(form.delimiter)[0]:
        found = f"columns are separated by {SEPARATORS[best]}, not by {form.delimiter!r}"
        raise UserError(f"{path}: {found}; correct the task's delimiter or leave it out")
    return form.delimiter


def _names(text: str, separator: str) -> list[str]:
    """The fields of the first line that is not blank; empty for a text without any."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return next((fields for fields in lines if any(map(str.strip, fields))), [])
    except csv.Error:
        return []


def _check_names(names: Sequence[str], path: Path) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UserError(f"{path}: two columns have the name '{twice}'; rename or remove one")


def _check_texts(frame: "pd.DataFrame") -> None:
    """Raises UnicodeError for a text that cannot be decoded, which would fail at its first use."""
    import pandas as pd

    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.StringDtype):
            frame[name].tolist()


def _malformed(path: Path, text: str, separator: str, width: int) -> UserError:
    """The error for rows that do not suit the header, with the first line of one."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
    line = 1
    for fields in reader:
        if len(fields) > width:
            counts = f"{len(fields)} instead of {width}"
            quote = f"quote texts that hold '{separator}'"
            return UserError(f"{path}: line {line} has more fields than the header ({counts}); {quote}")
        line, last = reader.line_num + 1, line
    return UserError(f"{path}: a quotation mark in line {last} is never closed; remove it or write it twice")


def not_decoded(path: Path, content: bytes, encoding: str) -> UserError:
    """The error for bytes in another encoding, with the line of the first one."""
    shown = encoding.upper()
    remedy = "save it as UTF-8, or set the task's encoding, such as cp1252"
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return UserError(f"{path}: line {line}: the byte 0x{content[error.start]:02x} is not {shown}; {remedy}")
    except UnicodeError:
        pass
    return UserError(f"{path}: holds bytes that are not {shown}; {remedy}")


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(f"{path}: cannot be read as a table ({reason})")
