"""Reading a paper's published numbers from `grids/<name>.expected.csv`. Light: the csv module, not pandas."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import TEACHER
from distilgrid.plan.params import Params
from distilgrid.reporting.claims.names import check_method, check_task
from distilgrid.reporting.claims.schema import Published

COLUMNS = tuple(Published.model_fields)
REQUIRED = tuple(name for name, field in Published.model_fields.items() if field.is_required())


def read_published(path: Path, *, params: Params | None = None, methods: Iterable[str] = ()) -> list[Published]:
    """Read the numbers of a CSV file in UTF-8, in its order.

    The header names columns of `Published` and may leave out optional ones. Each further row is a number. An empty
    field is null. Without `params`, names of methods (and further `methods`) and tasks are not checked. Students and
    teachers are never checked, because a small grid and a large one may share the file.

    Raises:
        UserError: naming the file, its line and the column.
    """
    (_, header), *records = _records(path) or [(1, [])]
    _check_header(header, f"{path}: line 1")
    known = [*params.methods, *methods, TEACHER] if params is not None else []
    found: dict[Published, int] = {}
    rows = []
    for line, cells in records:
        place = f"{path}: line {line}"
        row = _row(header, cells, place)
        if params is not None:
            _check_names(row, params, known, place)
        first = found.setdefault(row.model_copy(update={"value": None, "certainty": "unknown"}), line)
        if first != line:
            raise UserError(f"{place}: the same number as in line {first}; remove one of them")
        rows.append(row)
    return rows


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """The fields of each record, with the line that it begins on."""
    records: list[tuple[int, list[str]]] = []
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a byte order mark first
            reader = csv.reader(file, strict=True)
            for cells in reader:
                records.append((line, cells))
                line = reader.line_num + 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); `published` in the claims file names it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason}); save it in that encoding") from None
    except csv.Error as error:
        raise UserError(f"{path}: line {line}: not valid CSV ({error}); check its quotes") from None
    return records


def _check_header(header: Sequence[str], place: str) -> None:
    for name in header:
        if name not in COLUMNS:
            raise UserError(f"{place}: unknown column '{name}'; {did_you_mean(name, COLUMNS)}")
        if header.count(name) > 1:
            raise UserError(f"{place}: two columns '{name}'; remove one")
    for name in REQUIRED:
        if name not in header:
            raise UserError(f"{place}: no column '{name}'; add it to the header and to each row")


def _row(header: Sequence[str], cells: Sequence[str], place: str) -> Published:
    if len(cells) != len(header):
        raise UserError(f"{place}: {len(cells)} cells, but the header names {len(header)}; quote a cell with a comma")
    try:
        return Published.model_validate({name: cell or None for name, cell in zip(header, cells, strict=True)})
    except ValidationError as error:
        problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # messages about the row as a whole name their columns
        raise UserError(f"{place}: {message}")
    found = problem["input"]
    said = "empty; fill it in" if found is None else f"{message} (found {found!r})"
    raise UserError(f"{place}: {problem['loc'][0]}: {said}")


def _check_names(row: Published, params: Params, methods: Sequence[str], place: str) -> None:
    check_task(row.task, params, f"{place}: task")
    if row.method is not None:
        check_method(row.method, methods, f"{place}: method")
