"""Reading `grids/<name>.claims.yaml`. Light: this loads neither torch nor pandas."""

from pathlib import Path

from pydantic import ValidationError

from distilgrid.errors import UserError, did_you_mean
from distilgrid.messages import first_problem
from distilgrid.params import Params, read_yaml
from distilgrid.reporting.claims_schema import ClaimsFile
from distilgrid.tasks.spec import find_task

TEACHER = "teacher"


def load_claims(path: Path | str, *, params: Params | None = None) -> ClaimsFile:
    """A claims file.

    Args:
        path: the file.
        params: where methods and tasks are defined; without it, their names are not checked.

    Raises:
        UserError: one line naming the file and the key.
    """
    values = read_yaml(path)
    try:
        found = ClaimsFile.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error, ClaimsFile.model_json_schema())}") from None
    if params is not None:
        check_names(found, params, origin=str(path))
    return found


def check_names(file: ClaimsFile, params: Params, *, origin: str) -> None:
    """Refuse methods and tasks that nothing defines; a grid need not run what is defined.

    Students and teachers are not checked: a small grid and a large one may share a claims file.

    Raises:
        UserError: one line naming the origin and the key.
    """
    for number, claim in enumerate(file.claims):
        pairs = {"": claim, "than.": claim.than}
        for prefix, pair in pairs.items():
            for name, side in (("better", pair.better), ("worse", pair.worse)) if pair else ():
                _check_method(side.method, [*params.methods], f"{origin}: claims.{number}.{prefix}{name}.method")
        for task in claim.tasks or ():
            _check_task(task, params, f"{origin}: claims.{number}.tasks")
    for number, row in enumerate(file.published):
        if row.method is not None:
            _check_method(row.method, [*params.methods, TEACHER], f"{origin}: published.{number}.method")
        _check_task(row.task, params, f"{origin}: published.{number}.task")


def _check_method(name: str, known: list[str], place: str) -> None:
    if name not in known:
        raise UserError(f"{place}: unknown method '{name}'; {did_you_mean(name, known)}")


def _check_task(name: str, params: Params, place: str) -> None:
    try:
        find_task(name, params.tasks)
    except UserError as error:
        raise UserError(f"{place}: {str(error).removeprefix('grid.tasks: ')}") from None
