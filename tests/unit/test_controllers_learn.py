"""Controllers against random search at equal budget, on a landscape whose optimum is known."""

from typing import Any

import numpy as np
import pytest
from tests.unit.landscape import LAYERED, SPACE, best, observe, search

from distilgrid.search.controllers.registry import Observation
from distilgrid.search.controllers.settings import KDNAS, Evolution, Optuna, RandomSearch, Reinforce

SEEDS = 20
EPISODES, COUNT = 12, 8
"""96 of 3,780 architectures: random search meets one of the best four in one search of ten."""
LEARNERS: dict[str, Any] = {
    "evolution": Evolution(),
    "tpe": Optuna(),
    "reinforce": Reinforce(),
    "kd_nas": KDNAS(
        learning_rate=3e-3, batch_size=16, memory="all", targets="standardised", epsilon_step=0.15, pool=500
    ),
}


def searches(settings: Any, *, seeds: int = SEEDS, space: Any = SPACE) -> list[list[Observation]]:
    return [search(settings, seed=seed, episodes=EPISODES, count=COUNT, space=space) for seed in range(seeds)]


def wins(settings: Any, *, seeds: int = SEEDS) -> int:
    """Searches that found one of the best four of the space, one in a thousand."""
    good = sorted((observe(shape).reward for shape in SPACE.shapes), reverse=True)[3]
    return sum(best(found) >= good for found in searches(settings, seeds=seeds))


def hypervolume(observations: list[Observation], *, quality: float = 0.4, latency_ms: float = 15.0) -> float:
    """Area that the front of quality and latency dominates above a point."""
    area, reached = 0.0, quality
    for seen in sorted(observations, key=lambda seen: seen.latency_ms):
        if seen.quality > reached and seen.latency_ms < latency_ms:
            area += (seen.quality - reached) * (latency_ms - seen.latency_ms)
            reached = seen.quality
    return area


def test_evolution_finds_the_best_far_more_often_than_random_search() -> None:
    assert wins(LEARNERS["evolution"]) >= 12 > 5 >= wins(RandomSearch())


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_a_learning_controller_finds_the_best_far_more_often_than_random_search(name: str) -> None:
    found, by_chance = wins(LEARNERS[name]), wins(RandomSearch())
    assert found >= max(3 * by_chance, 8), (found, by_chance)


@pytest.mark.slow
def test_nsga2_finds_a_better_front_than_random_search() -> None:
    few = Optuna(sampler="nsga2", population=8)  # thirty generations
    evolved = [hypervolume(search(few, seed=seed, episodes=30, count=8)) for seed in range(SEEDS)]
    drawn = [hypervolume(search(RandomSearch(), seed=seed, episodes=30, count=8)) for seed in range(SEEDS)]
    assert np.mean(evolved) > np.mean(drawn) and np.mean(np.greater(evolved, drawn)) >= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_a_learning_controller_finds_more_in_a_layered_space(name: str) -> None:
    settings = LEARNERS[name]
    if name == "reinforce":  # the largest sizes leave the deepest no room under the limit on parameters
        settings = Reinforce(reference={"hidden": 192, "feed_forward": 384})
    found = [best(one) for one in searches(settings, space=LAYERED, seeds=10)]
    drawn = [best(one) for one in searches(RandomSearch(), space=LAYERED, seeds=10)]
    assert np.mean(found) > np.mean(drawn) + np.std(drawn) / 2
