"""From a claim to the cells that decide it: which lines stand on its sides, and what is missing when none do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.reporting.claims_schema import Axes, Claim
from distilgrid.reporting.lines import AXES, Line


@dataclass(frozen=True)
class Contrast:
    """A claim's effect on one task as a weighted sum of lines.

    Attributes:
        task: the task.
        weights: of each line, applied to its mean over seeds.
        pairs: how many matched comparisons the effect is the mean of.
    """

    task: str
    weights: Mapping[Line, float]
    pairs: int


def contrast(claim: Claim, task: str, lines: Sequence[Line]) -> Contrast | None:
    """The claim's comparison among a task's students; None when it has no cells for all sides.

    Axes that the claim does not give are matched: each comparison has the same values of them on all sides, and the
    effect is the mean over the values for which all sides have cells.
    """
    sides = claim.sides()
    free = [axis for axis in AXES[1:] if axis not in sides[0][1]]
    found = [{tuple(line.labels[a] for a in free): line for line in _matching(axes, lines)} for _, axes in sides]
    matched = [values for values in found[0] if all(values in side for side in found)]
    if not matched:
        return None
    weights: dict[Line, float] = {}
    for (sign, _), side in zip(sides, found, strict=True):
        for values in matched:
            # Differences of differences may share a side, which then cancels: one weight for each line.
            weights[side[values]] = weights.get(side[values], 0.0) + sign / len(matched)
    return Contrast(task, {line: weight for line, weight in weights.items() if weight}, len(matched))


def missing(claim: Claim, lines: Sequence[Line]) -> list[str]:
    """What a task's students lack for a claim without a contrast, in words."""
    empty = [axes for _, axes in claim.sides() if not _matching(axes, lines)]
    if not empty:
        return ["cells that differ in nothing else than the claim says"]
    students = [line for line in lines if not line.is_teacher]
    absent = [
        _named(axis, value)
        for axes in empty
        for axis, value in axes.items()
        if all(line.labels[axis] != value for line in students)
    ]
    return list(dict.fromkeys(absent or [" with ".join(_named(*item) for item in axes.items()) for axes in empty]))


def _matching(axes: Axes, lines: Sequence[Line]) -> list[Line]:
    students = (line for line in lines if not line.is_teacher)
    return [line for line in students if all(line.labels[axis] == value for axis, value in axes.items())]


def _named(axis: str, value: Any) -> str:
    return f"{axis} {value:g}" if isinstance(value, float) else f"{axis} {value}"
