"""Contrasts: the lines on the sides of a claim, the numbers that they compare, or what a grid lacks for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilgrid.core.planned import TEACHER
from distilgrid.reporting.claims.schema import LATENCY, MAIN, Axes, Claim
from distilgrid.reporting.intervals import EffectEstimate, SeedBlock, estimate
from distilgrid.reporting.lines import Line
from distilgrid.reporting.searches import SearchLine

Resamples = Mapping[str, np.ndarray]
"""The main score of models on each resample of their task's rows, by folder: (S,)."""
Weights = Mapping[Line | SearchLine, float]


@dataclass(frozen=True)
class Contrast:
    """A claim's effect on one task, as a weighted sum of the lines' means over seeds.

    The effect is the mean of `pairs` matched comparisons.
    """

    task: str
    weights: Weights
    pairs: int


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
    remaining = iter(found)
    for weight, axes in claim.sides():
        taught = axes.get("method") == TEACHER
        side = found[0] if taught else next(remaining)
        for values in matched:
            line = side[values]
            line = teacher(line) if taught and isinstance(line, Line) else line
            # A side that two differences share cancels, so each line has one weight.
            weights[line] = weights.get(line, 0.0) + weight / len(matched)
    return (
        Contrast(task, {line: weight for line, weight in weights.items() if weight}, len(matched)) if matched else None
    )


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


def values_of(line: Line | SearchLine, metric: str) -> list[float] | None:
    """A claim's metric for each seed of a line, or once for a latency; None when the line lacks it."""
    if isinstance(line, SearchLine):
        return line.values(metric)
    if metric.startswith(LATENCY):
        speed = line.speeds.get(metric.removeprefix(LATENCY))
        return None if speed is None else [speed.latency_ms]
    found = [model.metrics.get("score" if metric == MAIN else metric) for model in line.models]
    numbers = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    return numbers if len(numbers) == len(found) else None


def blocks(weights: Weights, metric: str, resamples: Resamples | None) -> list[SeedBlock]:
    """One block of paired seeds when all lines have the same seeds, else one block for each line.

    A teacher is one run, and intervals do not cover its seed. Compared with students, it counts as equal for each seed.
    """
    seeds = {line: tuple(sorted(model.seed for model in line.models)) for line in weights}
    students = [found for line, found in seeds.items() if not line.is_teacher]
    made = []
    for line, weight in weights.items():
        repeats = 1
        if line.is_teacher and len(line.models) == 1 and students:
            seeds[line], repeats = students[0], len(students[0])
        made.append(_block(line, weight, metric, resamples, repeats))
    if len(set(seeds.values())) > 1:
        return made
    together = [block.resampled for block in made if block.resampled is not None]
    return [SeedBlock(np.sum([block.values for block in made], axis=0), np.sum(together, axis=0) if together else None)]


def measured(weights: Weights, runtime: str) -> EffectEstimate:
    """An effect on latencies in ms, which are measured once for an architecture.

    Its bounds assume that all medians lie at the worse ends of their intervals.
    """
    speeds = {line: line.speeds[runtime] for line in weights if isinstance(line, Line)}
    effect = sum(weights[line] * speed.latency_ms for line, speed in speeds.items())
    errors = [abs(weights[line]) * speed.error_ms for line, speed in speeds.items() if speed.error_ms is not None]
    found = estimate([SeedBlock(np.array([effect]))], rows=0)
    return found if len(errors) < len(speeds) else EffectEstimate(found.effect, None, (), None, error=sum(errors))


def _block(line: Line | SearchLine, weight: float, metric: str, resamples: Resamples | None, repeats: int) -> SeedBlock:
    values = values_of(line, metric)
    assert values is not None, "contrasts have what their claims compare"
    order = np.argsort([model.seed for model in line.models])
    resampled = None
    if resamples is not None:
        scores = np.stack([resamples[line.models[place].artefact.folder] for place in order], axis=1)  # (S, n)
        resampled = np.repeat(weight * scores, repeats, axis=1)
    return SeedBlock(np.repeat(weight * np.array(values)[order], repeats), resampled)
