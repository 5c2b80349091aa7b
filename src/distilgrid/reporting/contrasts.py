"""Contrasts: weighted sums of groups of runs, as blocks of seeds. The one way from runs to an interval."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from distilgrid.reporting.intervals import FEWEST_SEEDS, SeedBlock

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
    """One block of paired seeds when all groups share their streams and enough seeds, else one block for each group.

    Runs of equal seeds are paired only where the seed means the same in both: students of one grid share the
    initialisation of heads and the order of rows, controllers of two searches share nothing. Where groups have
    different seeds, those that all of them have are paired, from FEWEST_SEEDS of them on, and others are left out: an
    unpaired comparison of more seeds loses far more. A teacher is one run, and intervals do not cover its seed.
    Compared with students, it counts as equal for each seed.
    """
    seeds = {group: tuple(sorted(run.seed for run in group.models)) for group in weights}
    students = [found for group, found in seeds.items() if not _is_one_run(group)]
    common = sorted(set.intersection(*map(set, students))) if students else []
    alike = len(set(students)) == 1
    paired = all(group.shares_streams for group in weights) and (alike or len(common) >= FEWEST_SEEDS)
    made = []
    for group, weight in weights.items():
        kept = seeds[group] if _is_one_run(group) or not paired else tuple(common)
        repeats = len(common if paired else students[0]) if _is_one_run(group) and students else 1
        made.append(_block(group, weight, values(group), resamples, kept, repeats))
    if not paired and students:
        return made
    together = [block.resampled for block in made if block.resampled is not None]
    return [SeedBlock(np.sum([block.values for block in made], axis=0), np.sum(together, axis=0) if together else None)]


def _is_one_run(group: RunGroup) -> bool:
    """Whether a group is a teacher, which stands for every seed of the students."""
    return group.is_teacher and len(group.models) == 1


def _block(
    group: RunGroup,
    weight: float,
    values: Sequence[float],
    resamples: Resamples | None,
    seeds: Sequence[int],
    repeats: int,
) -> SeedBlock:
    """The weighted values of a group's runs with some seeds, in the order of the seeds."""
    place = {run.seed: number for number, run in enumerate(group.models)}
    order = [place[seed] for seed in seeds]
    resampled = None
    if resamples is not None:
        scores = np.stack([resamples[group.models[number].artefact.folder] for number in order], axis=1)  # (S, n)
        resampled = np.repeat(weight * scores, repeats, axis=1)
    return SeedBlock(np.repeat(weight * np.array(values)[order], repeats), resampled)
