"""Numbers that a claim compares: for each seed, on resampled rows, or measured once for an architecture."""

from collections.abc import Mapping

import numpy as np

from distilgrid.reporting.claims.schema import LATENCY, MAIN
from distilgrid.reporting.intervals import EffectEstimate, SeedBlock, estimate
from distilgrid.reporting.lines import Line
from distilgrid.reporting.searches import SearchLine

Resamples = Mapping[str, np.ndarray]
"""The main score of models on each resample of their task's rows, by folder: (S,)."""
Weights = Mapping[Line | SearchLine, float]


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
    several = [found for line, found in seeds.items() if not line.is_teacher]
    made = []
    for line, weight in weights.items():
        block = _block(line, weight, metric, resamples)
        if line.is_teacher and len(block.values) == 1 and several:
            seeds[line] = several[0]
            block = _repeated(block, len(several[0]))
        made.append(block)
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


def _block(line: Line | SearchLine, weight: float, metric: str, resamples: Resamples | None) -> SeedBlock:
    values = values_of(line, metric)
    assert values is not None, "contrasts have what their claims compare"
    order = sorted(range(len(line.models)), key=lambda place: line.models[place].seed)
    resampled = None
    if resamples is not None:
        folders = [line.models[place].artefact.folder for place in order]
        resampled = weight * np.stack([resamples[folder] for folder in folders], axis=1)  # (S, n)
    return SeedBlock(weight * np.array([values[place] for place in order]), resampled)


def _repeated(block: SeedBlock, count: int) -> SeedBlock:
    resampled = None if block.resampled is None else np.repeat(block.resampled, count, axis=1)
    return SeedBlock(np.repeat(block.values, count), resampled)
