"""Frozen copies of parameters: what a workflow ran with, and the files that it came from.

Jobs read the copy, so editing `params.yaml` during a run mixes no values. The copies are also the record of the grids
that were run in a results folder, which `distilgrid gc` reads.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilgrid.core.artefacts import readable_os_errors, write_changed
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import named_key, recipe_key
from distilgrid.core.project import yaml_text
from distilgrid.plan.params import Params, load_params

FOLDER = ".params"
DECISIONS = "decisions"
"""The folder, under the results folder, of seeds that `distilgrid decide` added to grids, by the grid's name."""
ORIGIN = "# from "
ELSEWHERE: list[str] = []
"""The origin of parameters that no files hold, such as values of `snakemake --config`."""


@dataclass(frozen=True)
class Frozen:
    """A frozen copy of parameters."""

    path: Path
    origins: tuple[tuple[Path, ...], ...]  # the files of each run; empty ones for a run with values from elsewhere


def freeze(params: Params, results: Path, *, origin: Sequence[str | Path] = ()) -> Path:
    """Write parameters to a file that is named after their content.

    Args:
        params: of a run.
        results: the results folder.
        origin: the files that the parameters were read from, for the record. Empty for a job, which records nothing.

    Raises:
        UserError: when the file cannot be written.
    """
    values = params.model_dump(mode="json")
    path = results / FOLDER / f"{params.grid.name}-{recipe_key(values)}.yaml"
    with readable_os_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        known = _origin_lines(path)
        lines = dict.fromkeys([*known, *([_origin_line(params, origin, path)] if origin else [])])
        text = "".join(f"{line}\n" for line in lines) + yaml_text(values)
        write_changed(path, text.encode())
    return path


def frozen_copies(results: Path) -> list[Frozen]:
    """The frozen copies in a results folder, by name."""
    keyed = (path for path in (results / FOLDER).glob("*.yaml") if named_key(path.stem))
    return [Frozen(path, tuple(_origins(path, results))) for path in sorted(keyed)]


def _origin_line(params: Params, origin: Sequence[str | Path], path: Path) -> str:
    """The files of a run as a comment, relative to the project; none when they hold other values."""
    files = [Path(name) for name in origin]
    try:
        same = load_params(files).model_dump(mode="json") == params.model_dump(mode="json")
    except UserError:
        same = False
    project = path.absolute().parents[2]
    return ORIGIN + json.dumps([os.path.relpath(file.absolute(), project) for file in files] if same else ELSEWHERE)


def _origin_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line for line in lines if line.startswith(ORIGIN)]


def _origins(path: Path, results: Path) -> list[tuple[Path, ...]]:
    """The files of each run. A copy without a record counts as a run with values from elsewhere."""
    project = results.absolute().parent
    try:
        origins = [json.loads(line.removeprefix(ORIGIN)) for line in _origin_lines(path)] or [ELSEWHERE]
    except ValueError:
        origins = [ELSEWHERE]
    return [tuple(Path(os.path.relpath(project / name)) for name in names) for names in origins]
