"""The cells of a grid whose task, teachers, student, method and augmentation suit each other."""

from collections.abc import Iterable, Mapping
from typing import Any

from distilgrid.core.errors import UserError
from distilgrid.models.source import reads
from distilgrid.plan.params import Params
from distilgrid.plan.teachers import teacher_label
from distilgrid.tasks.spec import find_task

AXES = ("tasks", "teachers", "methods", "students", "augmentations")


def fitting_cells(params: Params, cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells whose teachers, student, method and augmentation suit the kind of their task.

    Raises UserError when a value of the grid is left without any cell, with the reason.
    """
    kept: list[dict[str, Any]] = []
    refused: list[tuple[dict[str, Any], str]] = []
    for cell in cells:
        if reason := misfit(params, cell):
            refused.append((cell, reason))
        else:
            kept.append(cell)
    for axis in AXES:
        for value in map(teacher_label, getattr(params.grid, axis)):
            if all(cell[axis[:-1]] != value for cell in kept):
                reasons = dict.fromkeys(reason for cell, reason in refused if cell[axis[:-1]] == value)
                raise UserError(f"grid.{axis}: '{value}' fits nothing else in the grid; {'; '.join(list(reasons)[:2])}")
    return kept


def misfit(params: Params, cell: Mapping[str, Any]) -> str:
    """Why a cell's parts do not suit each other, and what to do; empty where they do."""
    kind, student = find_task(cell["task"], params.tasks).task_kind, params.students[cell["student"]]
    if any(reads(source) != kind.modality for source in _sources(params, cell)):
        return "image tasks want new: teachers and students, text tasks any others: add what is missing, or take it out"
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
