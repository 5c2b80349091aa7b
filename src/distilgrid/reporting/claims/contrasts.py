"""Contrasts: the lines on the sides of a claim, or what a grid lacks for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.core.planned import TEACHER
from distilgrid.reporting.claims.schema import Axes, Claim
from distilgrid.reporting.lines import AXES, Line
from distilgrid.reporting.searches import SearchLine


@dataclass(frozen=True)
class Contrast:
    """A claim's effect on one task, as a weighted sum of the lines' means over seeds.

    The effect is the mean of `pairs` matched comparisons.
    """

    task: str
    weights: Mapping[Line | SearchLine, float]
    pairs: int


def contrast(claim: Claim, task: str, lines: Sequence[Line], *, teacher: Callable[[Line], Line]) -> Contrast | None:
    """The claim's comparison among a task's lines, or None when a side has no cells.

    Axes that the claim does not give are matched: each comparison has the same values of them on all sides. The
    effect is the mean over the values for which all sides have cells. `teacher` finds the teacher of a student's line.
    """
    sides = claim.sides()
    cells = [axes for _, axes in sides if axes["method"] != TEACHER]
    free = [axis for axis in AXES[1:] if axis not in cells[0]]
    own = [line for line in lines if not line.is_teacher]
    students = [{tuple(s.labels[a] for a in free): s for s in own if _has(s.labels, axes)} for axes in cells]
    matched = [values for values in students[0] if all(values in side for side in students)]
    if not matched:
        return None
    taught = {values: teacher(line) for values, line in students[0].items()}
    weights: dict[Line | SearchLine, float] = {}
    remaining = iter(students)
    for weight, axes in sides:
        side = taught if axes["method"] == TEACHER else next(remaining)
        for values in matched:
            # A side that two differences share cancels, so each line has one weight.
            weights[side[values]] = weights.get(side[values], 0.0) + weight / len(matched)
    return Contrast(task, {line: weight for line, weight in weights.items() if weight}, len(matched))


def search_contrast(claim: Claim, task: str, lines: Sequence[SearchLine]) -> Contrast | None:
    """The claim's comparison among a task's searches, or None when one is missing."""
    sides = [(weight, [line for line in lines if _has(line.labels, axes)]) for weight, axes in claim.sides()]
    if not all(found for _, found in sides):
        return None
    by_teacher = [{line.labels[TEACHER]: line for line in found} for _, found in sides]
    matched = [name for name in by_teacher[0] if all(name in side for side in by_teacher)]
    weights: dict[Line | SearchLine, float] = {}
    for (weight, _), side in zip(sides, by_teacher, strict=True):
        weights |= {side[name]: weight / len(matched) for name in matched}
    return Contrast(task, weights, len(matched)) if matched else None


def missing(claim: Claim, lines: Sequence[Line | SearchLine]) -> list[str]:
    """What a task's students or searches lack for a claim, in words."""
    own = [line for line in lines if not line.is_teacher]
    sides = [axes for _, axes in claim.sides() if axes.get("method") != TEACHER]
    empty = [axes for axes in sides if not any(_has(line.labels, axes) for line in own)]
    if not empty:
        return ["cells that differ in nothing else than the claim says"]
    absent = [
        _named(axis, value)
        for axes in empty
        for axis, value in axes.items()
        if all(line.labels[axis] != value for line in own)
    ]
    return list(dict.fromkeys(absent or [" with ".join(_named(*item) for item in axes.items()) for axes in empty]))


def _has(labels: Mapping[str, Any], axes: Axes) -> bool:
    return all(labels[axis] == value for axis, value in axes.items())


def _named(axis: str, value: Any) -> str:
    return f"{axis} {value:g}" if isinstance(value, float) else f"{axis} {value}"
