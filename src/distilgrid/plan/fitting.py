"""The cells of a grid whose task, teachers, student, method and augmentation suit each other."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from distilgrid.core.errors import UserError
from distilgrid.models.source import READERS, reads
from distilgrid.plan.params import Params
from distilgrid.plan.teachers import teacher_names
from distilgrid.tasks.spec import find_task


def fitting_cells(params: Params) -> list[dict[str, Any]]:
    """The combinations of the axes whose teachers, student, method and augmentation suit the kind of their task.

    Raises UserError when a value of the grid is left without any cell, with the reason.
    """
    kept: list[dict[str, Any]] = []
    refused: list[tuple[dict[str, Any], str]] = []
    axes = {name.removesuffix("s"): values for name, values in params.grid.axes.items()}
    for values in product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        cell["teachers"] = teacher_names(cell["teacher"])
        if reason := misfit(params, cell):
            refused.append((cell, reason))
        else:
            kept.append(cell)
    for axis, labels in axes.items():
        for value in labels:
            if all(cell[axis] != value for cell in kept):
                reasons = list(dict.fromkeys(reason for cell, reason in refused if cell[axis] == value))[:2]
                raise UserError(f"grid.{axis}s: '{value}' fits nothing else in the grid; {'; '.join(reasons)}")
    return kept


def misfit(params: Params, cell: Mapping[str, Any]) -> str:
    """Why a cell's parts do not suit each other, and what to do; empty where they do."""
    kind, student = find_task(cell["task"], params.tasks).task_kind, params.students[cell["student"]]
    if any(reads(source) != kind.modality for source in _sources(params, cell)):
        wanted = f"tasks of {kind.words.rows} like '{cell['task']}' want teachers and students that read them"
        return f"{wanted}: take {READERS[kind.modality]}, or take it out"
    if not kind.tokenised and (student.found is not None or cell["augmentation"] != "none"):
        return "searches and augmentations are for texts: add a text task, or take it out"
    method, count = params.methods[cell["method"]], len(cell["teachers"])
    if not method.accepts(kind.name, teachers=count):
        return _unaccepted(cell, kind.name, *method.teachers, suited=method.suits_kind(kind.name))
    return ""


def _sources(params: Params, cell: Mapping[str, Any]) -> list[str]:
    student = params.students[cell["student"]].source or ""
    return [params.teachers[name].source for name in cell["teachers"]] + [student]


def _unaccepted(cell: Mapping[str, Any], kind: str, fewest: int, most: int, *, suited: bool) -> str:
    name = cell["method"]
    if not suited:
        return f"method '{name}' does not suit {kind} tasks like '{cell['task']}': add another task, or take it out"
    wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    given = f"'{cell['teacher']}' has {len(cell['teachers'])}"
    return f"method '{name}' learns from {wanted} teacher(s), but {given}: change grid.teachers, or take it out"
