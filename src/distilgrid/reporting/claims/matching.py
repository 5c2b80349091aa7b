"""Contrasts: the lines on the sides of a claim, matched by the axes that it does not give, or what is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.core.planned import TEACHER
from distilgrid.reporting.claims.schema import Axes, Claim
from distilgrid.reporting.lines import Line
from distilgrid.reporting.searches import SearchLine

Weights = Mapping[Line | SearchLine, float]


@dataclass(frozen=True)
class Contrast:
    """A claim's effect on one task, as a weighted sum of the lines' means over seeds.

    The effect is the mean of `pairs` matched comparisons.
    """

    task: str
    weights: Weights
    pairs: int
    compared: tuple[tuple[Any, Any], ...] = ()  # the lines of each comparison, that of the first side first


def contrast(
    claim: Claim, task: str, lines: Sequence[Line | SearchLine], *, teacher: Callable[[Line], Line]
) -> Contrast | None:
    """The claim's comparison among a task's lines or searches, or None when a side has none.

    Axes that the claim does not give are matched: each comparison has the same values of them on all sides. The
    effect is the mean over the values for which all sides have lines. `teacher` finds the teacher of a student's line.
    """
    own = [line for line in lines if not line.is_teacher]
    given = [axes for _, axes in claim.sides() if axes.get("method") != TEACHER]
    free = [axis for axis in (own[0].labels if own else ()) if axis not in given[0]]
    found = [{tuple(s.labels[a] for a in free): s for s in own if _has(s.labels, axes)} for axes in given]
    matched = [values for values in found[0] if all(values in side for side in found)]
    weights: dict[Line | SearchLine, float] = {}
    remaining, sides = iter(found), []
    for weight, axes in claim.sides():
        taught = axes.get("method") == TEACHER
        side = found[0] if taught else next(remaining)
        chosen = [side[values] for values in matched]
        chosen = [teacher(line) if taught and isinstance(line, Line) else line for line in chosen]
        sides.append(chosen)
        for line in chosen:
            # A side that two differences share cancels, so each line has one weight.
            weights[line] = weights.get(line, 0.0) + weight / len(matched)
    kept = {line: weight for line, weight in weights.items() if weight}
    compared = tuple(pair for n in range(0, len(sides), 2) for pair in zip(sides[n], sides[n + 1], strict=True))
    return Contrast(task, kept, len(matched), compared) if matched else None


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
