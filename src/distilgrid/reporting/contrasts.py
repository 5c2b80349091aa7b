"""Contrasts: weighted sums of groups of runs, as blocks of seeds. The one way from runs to an interval."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from distilgrid.reporting.intervals import SeedBlock

Resamples = Mapping[str, np.ndarray]
"""The main score of models on each resample of their task's rows, by folder: (S,)."""


class RunGroup(Protocol):
    """Runs that differ in their seeds: a line of a table, or an architecture search."""

    @property
    def models(self) -> Sequence[Any]:
        """One run for each seed, with its `seed` and `artefact`."""

    @property
    def is_teacher(self) -> bool:
        """Whether this is a teacher, which is one run for all seeds of its students."""

    @property
    def shares_streams(self) -> bool:
        """Whether runs of equal seeds in other groups draw the same random numbers."""


Group = TypeVar("Group", bound=RunGroup)


def seed_blocks(
    weights: Mapping[Group, float], values: Callable[[Group], Sequence[float]], resamples: Resamples | None
) -> list[SeedBlock]:
    """One block of paired seeds when all groups share their streams and seeds, else one block for each group.

    Runs of equal seeds are paired only where the seed means the same in both: students of one grid share the
    initialisation of heads and the order of rows, controllers of two searches share nothing. A teacher is one run, and
    intervals do not cover its seed. Compared with students, it counts as equal for each seed.
    """
    seeds = {group: tuple(sorted(run.seed for run in group.models)) for group in weights}
    students = [found for group, found in seeds.items() if not group.is_teacher]
    made = []
    for group, weight in weights.items():
        repeats = 1
        if group.is_teacher and len(group.models) == 1 and students:
            seeds[group], repeats = students[0], len(students[0])
        made.append(_block(group, weight, values(group), resamples, repeats))
    if len(set(seeds.values())) > 1 or not all(group.shares_streams for group in weights):
        return made
    together = [block.resampled for block in made if block.resampled is not None]
    return [SeedBlock(np.sum([block.values for block in made], axis=0), np.sum(together, axis=0) if together else None)]


def _block(
    group: RunGroup, weight: float, values: Sequence[float], resamples: Resamples | None, repeats: int
) -> SeedBlock:
    order = np.argsort([run.seed for run in group.models])
    resampled = None
    if resamples is not None:
        scores = np.stack([resamples[group.models[place].artefact.folder] for place in order], axis=1)  # (S, n)
        resampled = np.repeat(weight * scores, repeats, axis=1)
    return SeedBlock(np.repeat(weight * np.array(values)[order], repeats), resampled)
