"""Which runs of two groups are paired."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from distilgrid.reporting.contrasts import seed_blocks
from distilgrid.reporting.intervals import SeedBlock, bounds, estimate


@dataclass(frozen=True, eq=False)
class Group:
    """Runs by seed, with their scores."""

    scores: dict[int, float]
    is_teacher: bool = False
    shares_streams: bool = True

    @property
    def models(self) -> list[Any]:
        return [SimpleNamespace(seed=seed) for seed in self.scores]


def blocks(better: Group, worse: Group) -> list[SeedBlock]:
    return seed_blocks({better: 1.0, worse: -1.0}, lambda group: list(group.scores.values()), None)


def test_equal_seeds_are_paired_in_any_order() -> None:
    (block,) = blocks(Group({7: 0.9, 3: 0.5}), Group({3: 0.4, 7: 0.7}))
    assert block.values.tolist() == pytest.approx([0.1, 0.2])


def test_seeds_that_one_side_has_more_of_cost_no_pairing() -> None:
    """A seed that is good on both sides tells nothing of their difference; a baseline with more seeds is no worse."""
    drift = np.random.default_rng(1).normal(scale=0.1, size=9)
    small = Group({seed: float(0.52 + drift[seed] + 0.001 * (seed % 2)) for seed in (0, 1, 2)})
    large = Group({seed: float(0.5 + drift[seed]) for seed in range(9)})
    (block,) = blocks(small, large)
    assert block.values.tolist() == pytest.approx([0.02, 0.021, 0.02])
    low, _ = bounds(estimate([block], rows=1), 0.95) or (None, None)
    assert low is not None and low > 0


def test_two_seeds_in_common_are_too_few_to_leave_others_out() -> None:
    assert len(blocks(Group({0: 0.1, 1: 0.2, 5: 0.3}), Group({0: 0.1, 1: 0.2, 6: 0.3}))) == 2


def test_groups_that_share_no_streams_are_not_paired() -> None:
    assert len(blocks(Group({0: 0.1, 1: 0.2}, shares_streams=False), Group({0: 0.1, 1: 0.2}))) == 2


def test_a_teacher_stands_for_every_seed_of_its_students() -> None:
    (block,) = blocks(Group({0: 0.5, 1: 0.6, 2: 0.7}), Group({4: 0.9}, is_teacher=True))
    assert block.values.tolist() == pytest.approx([-0.4, -0.3, -0.2])
