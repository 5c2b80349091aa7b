"""Which cells of a grid fit together, where some tasks are made of texts and others of images."""

from collections.abc import Iterable, Mapping
from typing import Any

from distilgrid.core.errors import UserError
from distilgrid.models.source import reads
from distilgrid.plan.params import Params
from distilgrid.tasks.spec import find_task

AXES = ("tasks", "teachers", "methods", "students", "augmentations")
TEXT_METHODS = ("pkd", "mixkd")  # they compare or mix what only language models have


def fitting_cells(params: Params, cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells whose teacher, student, method and augmentation suit what their task is made of.

    Raises:
        UserError: when a value of the grid is left without any cell.
    """
    kept = [cell for cell in cells if fits(params, cell)]
    for axis in AXES:
        for value in getattr(params.grid, axis):
            if all(cell[axis[:-1]] != value for cell in kept):
                raise UserError(f"grid.{axis}: '{value}' fits nothing else in the grid; {_hint(axis)}")
    return kept


def fits(params: Params, cell: Mapping[str, Any]) -> bool:
    """Whether a cell's parts suit each other."""
    kind = find_task(cell["task"], params.tasks).task_kind
    teacher, student = params.teachers[cell["teacher"]], params.students[cell["student"]]
    if reads(teacher.source) != kind.modality or reads(student.source or "") != kind.modality:
        return False
    found = student.found is not None
    text_only = found or params.methods[cell["method"]].objective in TEXT_METHODS or cell["augmentation"] != "none"
    return kind.tokenised or not text_only


def _hint(axis: str) -> str:
    if axis in ("methods", "augmentations"):
        return "pkd, mixkd and augmentations are for texts: add a text task, or take it out"
    return "image tasks want new: teachers and students, text tasks any others: add what is missing, or take it out"
