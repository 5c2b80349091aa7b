"""Reading a paper's files: `grids/<name>.claims.yaml` and its published numbers, `<name>.expected.csv`.

Light: loads neither torch nor pandas.
"""

import csv
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.messages import first_problem
from distilgrid.core.planned import TEACHER
from distilgrid.core.project import located, read_yaml
from distilgrid.plan.params import Params
from distilgrid.reporting.claims.schema import ClaimsFile, Published
from distilgrid.tasks.spec import find_task
from distilgrid.tasks.tables import Form, separator_of

PUBLISHED = "published"
COLUMNS = Published.model_fields


def load_claims(path: Path | str, *, params: Params | None = None) -> ClaimsFile:
    """Read a claims file, and the CSV file that its `published` names. Without `params`, names are not checked.

    Raises:
        UserError: naming the file and the key, or the line and column of the CSV file.
    """
    values = read_yaml(path)
    numbers = _published(Path(path), values.pop(PUBLISHED)) if PUBLISHED in values else None
    try:
        found = ClaimsFile.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error, ClaimsFile.model_json_schema())}") from None
    if params is not None:
        _check_claims(found, params, origin=str(path))
    if numbers is None:
        return found
    return found.model_copy(update={PUBLISHED: read_published(numbers, params=params, methods=found.methods)})


def _published(path: Path, name: Any) -> Path:
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise UserError(
            f"{path}: {PUBLISHED}: must name a CSV file in the same folder, such as "
            f"{path.name.partition('.')[0]}.expected.csv, or be left out"
        )
    return located(path).parent / name


def _check_claims(file: ClaimsFile, params: Params, *, origin: str) -> None:
    """Refuse methods and tasks that nothing defines. A grid need not run them.

    Students and teachers are not checked, because a small grid and a large one may share a claims file.
    """
    methods = [*params.methods, *file.methods, TEACHER]
    wanted = params.report.decide.claims if params.report.decide else "all"
    names = [*(claim.id for claim in file.claims), *(joint.id for joint in file.joint)]
    for name in names if wanted == "all" else wanted:
        if name not in names:
            raise UserError(f"report.decide.claims: {origin} has no claim '{name}'; {did_you_mean(name, names)}")
    for number, claim in enumerate(file.claims):
        place = f"{origin}: claims.{number}"
        for prefix, pair in (("", claim), ("than.", claim.than)):
            for name, side in (("better", pair.better), ("worse", pair.worse)) if pair else ():
                _check_method(side.method, methods, f"{place}.{prefix}{name}.method")
        for key in ("tasks", "without"):
            for task in getattr(claim, key) or ():
                _check_task(task, params, f"{place}.{key}")


def _check_method(name: str | None, known: Collection[str], place: str) -> None:
    if name is not None and name not in known:
        raise UserError(f"{place}: unknown method '{name}'; {did_you_mean(name, known)}")


def _check_task(name: str, params: Params, place: str) -> None:
    """Refuse a task that neither the parameters nor the package define."""
    try:
        find_task(name, params.tasks)
    except UserError as error:
        raise UserError(f"{place}: {str(error).removeprefix('grid.tasks: ')}") from None


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
    found: dict[Published, int] = {}
    rows = []
    for line, fields in records:
        place = f"{path}: line {line}"
        row = _row(header, fields, place)
        if params is not None:
            _check_task(row.task, params, f"{place}: task")
            _check_method(row.method, [*params.methods, *methods, TEACHER], f"{place}: method")
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
            separator = separator_of(file.readline(), Form(list(COLUMNS)), path)  # of any spreadsheet
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=separator)
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
    for name, field in COLUMNS.items():
        if field.is_required() and name not in header:
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
