"""What a report shows of searches with a latency limit: plots and tables of the same best trials, and the limit."""

from typing import Any

import pandas as pd
import pytest

from distilgrid.core.planned import Artefact
from distilgrid.reporting.collect import Searched
from distilgrid.search.architecture import Shape
from distilgrid.search.controllers.registry import Controller, Observation
from distilgrid.search.loop import Finding, Worth, as_table, best_trials, search
from distilgrid.search.report.plots import front_plot, rewards_plot
from distilgrid.search.report.section import best_caption

SHAPES = [Shape(layers, 8, 2, 16) for layers in (4, 1, 2)]
LIMIT = 2.5


def run(limit: float | None, seed: int = 0) -> Searched:
    class Scripted:
        def ask(self, count: int) -> list[Any]:
            return SHAPES[:count]

        def tell(self, observations: Any) -> None:
            assert all(isinstance(seen, Observation) for seen in observations)

    def examine(shapes: Any) -> list[Finding]:
        return [Finding(0.2 * each.layers, 0.1, 1.0, latency_ms=float(each.layers)) for each in shapes]

    def judge(_: Any, found: Finding) -> Worth:
        penalty = 0.0 if limit is None or found.latency_ms <= limit else 0.01
        return Worth(found.score - penalty, found.score, penalty)

    controller: Controller = Scripted()
    trials = search(controller, examine=examine, judge=judge, episodes=1, candidates=3)
    values = {
        "limit_ms": limit,
        "quality": "score on dev",
        "teacher": {"name": "big", "latency_ms": 5.0},
        "space": {"size": 3, "counted": True},
    }
    best = [{**trial.as_dict(), "rank": 1} for trial in best_trials(trials, count=1)]
    artefact = Artefact("search", "searches/a", {}, (), labels={"seed": seed})
    return Searched(artefact, {}, values, best, as_table(trials))


@pytest.mark.parametrize(("limit", "layers"), [(LIMIT, 2), (None, 4)])
def test_plot_and_table_end_at_the_same_best_reward(limit: float | None, layers: int) -> None:
    one = run(limit)
    assert one.best[0]["name"] == f"{layers}L-8H-2A-16F-gelu"
    assert one.frame["best_reward"].iloc[-1] == one.best[0]["reward"]


def test_the_limit_is_said_below_plots_and_tables() -> None:
    found = {"random": [run(LIMIT, seed) for seed in (0, 1)]}
    assert "The best reward so far within the latency limit against" in rewards_plot("topics", found).caption
    assert front_plot("topics", found).caption.endswith("line: Pareto front; dashed: latency limit.")
    assert (
        best_caption(found) == " Best are those within the latency limit (2.50 ms), which is also a part of the reward."
    )


def test_nothing_is_said_of_a_limit_that_is_not_there() -> None:
    found = {"random": [run(None)]}
    captions = rewards_plot("topics", found).caption, front_plot("topics", found).caption, best_caption(found)
    assert not any("limit" in caption for caption in captions)


def test_a_search_that_begins_beyond_the_limit_is_drawn_from_its_first_trial_within() -> None:
    frame = run(LIMIT).frame
    assert pd.isna(frame["best_reward"].iloc[0]) and frame["best_reward"].iloc[1:].notna().all()
