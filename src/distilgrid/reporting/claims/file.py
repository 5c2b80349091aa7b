"""Reading `grids/<name>.claims.yaml` and its published numbers. Light: loads neither torch nor pandas."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distilgrid.core.errors import UserError
from distilgrid.core.messages import first_problem
from distilgrid.core.planned import TEACHER
from distilgrid.core.project import located, read_yaml
from distilgrid.plan.params import Params
from distilgrid.reporting.claims.names import check_method, check_task
from distilgrid.reporting.claims.published import read_published
from distilgrid.reporting.claims.schema import ClaimsFile

PUBLISHED = "published"


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
        _check_names(found, params, origin=str(path))
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


def _check_names(file: ClaimsFile, params: Params, *, origin: str) -> None:
    """Refuse methods and tasks that nothing defines. A grid need not run them.

    Students and teachers are not checked, because a small grid and a large one may share a claims file.
    """
    methods = [*params.methods, *file.methods]
    for number, claim in enumerate(file.claims):
        pairs = {"": claim, "than.": claim.than}
        for prefix, pair in pairs.items():
            for name, side in (("better", pair.better), ("worse", pair.worse)) if pair else ():
                if side.method is not None and side.method != TEACHER:
                    check_method(side.method, methods, f"{origin}: claims.{number}.{prefix}{name}.method")
        for key in ("tasks", "without"):
            for task in getattr(claim, key) or ():
                check_task(task, params, f"{origin}: claims.{number}.{key}")
