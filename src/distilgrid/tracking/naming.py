"""Names of cells in MLflow: axes as text, and the recipe that all seeds of a table row share."""

import json
from collections.abc import Mapping
from typing import Any

from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan

DEFAULTS = {"augmentation": "none", "fraction": 1.0}  # of teachers, which have no value on these axes


def text(value: Any) -> str:
    """A setting as text, with numbers in their shortest form."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def axes(model: Artefact) -> dict[str, str]:
    """Task, teacher, method, student, augmentation, fraction and seed of a model."""
    return {axis: text(value) for axis, value in (DEFAULTS | dict(model.labels)).items()}


def role_of(model: Artefact) -> str:
    """`teacher` or `student`."""
    return "teacher" if model.stage == "finetune" else "student"


def recipe_name(plan: Plan, of: Mapping[str, str]) -> str:
    """The name of a table row within its task, such as `kd / minilm-l3`, without defaults."""
    method = of["method"]
    teachers = {teacher.labels["teacher"] for teacher in plan.teachers if teacher.labels["task"] == of["task"]}
    if len(teachers) > 1 and method != "teacher":
        method += f" from {of['teacher']}"
    parts = [method, of["student"]]
    parts += [of["augmentation"]] if of["augmentation"] != "none" else []
    parts += [f"fraction {of['fraction']}"] if of["fraction"] != "1" else []
    return " / ".join(parts)


def cell_tags(plan: Plan, cell: Artefact) -> dict[str, str]:
    """The tags of a cell's run and of its registered model."""
    of = axes(cell)
    more = {"grid": plan.params.grid.name, "folder": cell.folder, "cell": cell.key}
    return of | more | {"role": role_of(cell), "recipe": recipe_name(plan, of)}
