"""The search loop: what is tried once, what is told, what is kept, and what is known afterwards."""

import logging
import math
import random
from collections.abc import Sequence

import pytest

from distilgrid.search.architecture import Architecture, Shape
from distilgrid.search.controllers.registry import Observation
from distilgrid.search.loop import Finding, Worth, as_table, best_trials, search

SMALL, WIDE, DEEP = Shape(1, 8, 2, 16), Shape(1, 16, 2, 16), Shape(2, 8, 2, 16)


class Scripted:
    """Proposes what it was given, and remembers what it was told."""

    def __init__(self, *episodes: list[Architecture]) -> None:
        self.episodes, self.told = iter(episodes), list[Sequence[Observation]]()

    def ask(self, count: int) -> list[Architecture]:
        return next(self.episodes)[:count]

    def tell(self, observations: Sequence[Observation]) -> None:
        self.told.append(observations)


def finding(architecture: Architecture) -> Finding:
    score = architecture.parameters / 10_000
    return Finding(score, loss=1 - score, latency_ms=architecture.parameters / 1000, seconds=3.0)


def examine(architectures: Sequence[Architecture]) -> list[Finding]:
    return [finding(architecture) for architecture in architectures]


def judge(_: Architecture, found: Finding) -> Worth:
    return Worth(found.score - found.latency_ms / 100, found.score)


def test_an_architecture_that_comes_again_is_examined_once_and_costs_nothing() -> None:
    asked: list[Architecture] = []

    def counted(architectures: Sequence[Architecture]) -> list[Finding]:
        asked.extend(architectures)
        return examine(architectures)

    trials = search(Scripted([SMALL, WIDE], [WIDE, DEEP]), examine=counted, judge=judge, episodes=2, candidates=2)
    assert asked == [SMALL, WIDE, DEEP]
    assert [trial.repeated for trial in trials] == [False, False, True, False]
    assert [trial.seconds for trial in trials] == [3.0, 3.0, 0.0, 3.0]
    assert [trial.episode for trial in trials] == [0, 0, 1, 1]
    assert trials[1].reward == trials[2].reward


def test_a_controller_hears_of_each_episode_before_the_next_one_is_asked_for() -> None:
    controller = Scripted([SMALL, WIDE], [DEEP])
    search(controller, examine=examine, judge=judge, episodes=2, candidates=2)
    assert [[told.architecture for told in episode] for episode in controller.told] == [[SMALL, WIDE], [DEEP]]
    (small, _), _ = controller.told
    judged = judge(SMALL, finding(SMALL))
    assert (small.reward, small.quality, small.penalty) == (judged.reward, judged.quality, 0)
    assert small.latency_ms == finding(SMALL).latency_ms


def test_the_best_are_kept_by_reward_each_once() -> None:
    controller = Scripted([SMALL, WIDE, WIDE, DEEP])
    trials = search(controller, examine=examine, judge=judge, episodes=1, candidates=4)
    best = best_trials(trials, count=3)
    assert [trial.architecture for trial in best] == sorted(
        (SMALL, WIDE, DEEP), key=lambda shape: -judge(shape, finding(shape)).reward
    )
    assert len(best_trials(trials, count=2)) == 2


def test_the_table_has_a_row_for_each_trial_and_the_best_reward_so_far() -> None:
    drawn: list[Architecture] = random.Random(0).choices((SMALL, WIDE, DEEP), k=9)
    trials = search(Scripted(drawn), examine=examine, judge=judge, episodes=1, candidates=9)
    table = as_table(trials)
    assert len(table) == 9 and table["best_reward"].is_monotonic_increasing
    assert table["best_reward"].iloc[-1] == max(trial.reward for trial in trials)
    assert table["name"].tolist() == [trial.architecture.name for trial in trials]


def test_a_penalised_trial_is_never_the_best() -> None:
    limit = finding(DEEP).latency_ms

    def limited(_: Architecture, found: Finding) -> Worth:
        penalty = 1e-6 if found.latency_ms > limit else 0.0
        return Worth(found.score - penalty, found.score, penalty)

    trials = search(Scripted([WIDE, SMALL, DEEP, WIDE]), examine=examine, judge=limited, episodes=1, candidates=4)
    assert max(trials, key=lambda trial: trial.reward).architecture == WIDE
    assert [trial.architecture for trial in best_trials(trials, count=3)] == [DEEP, SMALL]
    so_far = as_table(trials)["best_reward"].tolist()
    assert math.isnan(so_far[0]), "nothing kept to the limit yet"
    assert so_far[1:] == [trials[1].reward, trials[2].reward, trials[2].reward]


def test_a_search_ends_with_what_was_proposed(caplog: pytest.LogCaptureFixture) -> None:
    controller = Scripted([SMALL, WIDE], [DEEP], [], [SMALL])
    with caplog.at_level(logging.INFO, logger="distilgrid.search.loop"):
        trials = search(controller, examine=examine, judge=judge, episodes=4, candidates=2)
    assert [trial.architecture for trial in trials] == [SMALL, WIDE, DEEP]
    assert len(controller.told) == 2, "nobody hears of an empty episode, and none follows it"
    assert caplog.messages == [
        "episode 2: 1 of 2 candidates proposed",
        "episode 3 of 4: the controller has nothing left to propose; the search ends with 3 trials",
    ]
