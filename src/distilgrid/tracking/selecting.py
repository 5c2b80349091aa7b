"""Selection of a finished cell by its folder, or as the best of a task."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import is_complete, read_json
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.plan.names import task_named
from distilgrid.reporting.scoring import scoring
from distilgrid.tracking.naming import axes, recipe_name


def cell_in(plan: Plan, results: Path, folder: Path) -> Artefact:
    """The finished cell in a folder.

    Raises:
        UserError: when the folder holds no finished teacher or student of the grid.
    """
    for model in [*plan.teachers, *plan.students]:
        if (results / model.folder).resolve() == folder.resolve():
            if is_complete(results / model.folder):
                return model
            raise UserError(f"{results / model.folder}: not finished; run its grid first")
    raise UserError(
        f"--cell: {folder} is no teacher or student of the grid '{plan.params.grid.name}'; name its grid with --grid, "
        "or take a folder that `distilgrid plan` lists"
    )


def best_cell(plan: Plan, results: Path, *, task: str | None, wanted: Mapping[str, Any]) -> Artefact:
    """The first finished seed of the recipe with the best mean score over finished seeds.

    `wanted` has values of `method`, `student` and `seed`, where None takes any. A grid with one task needs no `task`.

    Raises:
        UserError: when the task is not clear, a value is unknown, or no cell is finished.
    """
    asked = {
        "task": task_named(plan.params, task),
        **{axis: value for axis, value in wanted.items() if value is not None},
    }
    fitting = plan.students
    for axis, value in asked.items():
        known = {str(student.labels[axis]) for student in fitting}
        if str(value) not in known:
            raise UserError(f"--{axis}: the grid has no such student '{value}'; {did_you_mean(str(value), known)}")
        fitting = [student for student in fitting if str(student.labels[axis]) == str(value)]
    recipes: dict[str, list[tuple[float, Artefact]]] = {}
    for student in fitting:
        if is_complete(results / student.folder):
            metrics = read_json(results / student.folder / "metrics.json")
            merit = scoring(metrics["score_name"]).merit(metrics["score"])
            recipes.setdefault(recipe_name(plan, axes(student)), []).append((merit, student))
    if not recipes:
        raise UserError(f"no student of '{asked['task']}' is finished in {results}; run the grid first")
    best = max(recipes.values(), key=lambda found: statistics.fmean(merit for merit, _ in found))
    return best[0][1]
