"""What a report says of estimates: their rank correlation with full distillation, and what a search costs beside it."""

from typing import Any

import pandas as pd
import pytest
from scipy.stats import kendalltau

from distilgrid.core.planned import Artefact
from distilgrid.reporting.collect import Searched, TrainedModel
from distilgrid.reporting.lines import Line
from distilgrid.search.report.section import Agreement, agreement

QUALITY = [0.5, 0.5, 0.7, 0.8, 0.9, 0.6]
LOSS = [2.0, 1.5, 1.0, 0.4, 0.3, 1.2]
SCORES = [0.60, 0.65, 0.72, 0.80, 0.78, 0.70]


def model(score: float, seconds: float) -> TrainedModel:
    metrics = {"score_name": "accuracy", "dev": {"accuracy": score}}
    empty = pd.DataFrame()
    return TrainedModel(Artefact("distill", "students/a", {}, ()), {"seconds": seconds}, metrics, empty, empty)


def line(score: float) -> Line:
    key = ("task", "teacher", "kd", "student", "none", 1.0)
    return Line(key, "student", (model(score - 0.01, 100.0), model(score + 0.01, 300.0)), {}, (), {})


def run(count: int, preparation: float = 0.0) -> Searched:
    trials = [
        {"name": f"n{n}", "quality": QUALITY[n], "loss": LOSS[n], "seconds": 4.0, "repeated": False}
        for n in range(count)
    ]
    again = [{**trials[0], "seconds": 0.0, "repeated": True}]
    cost = {"architectures": count, "estimates_seconds": 4.0 * count, "preparation_seconds": preparation}
    artefact = Artefact("search", "searches/a", {}, (), labels={"seed": 0})
    return Searched(artefact, {}, {"cost": cost}, [], pd.DataFrame(trials + again))


def agreed(count: int = 6, **changes: Any) -> Agreement | None:
    return agreement([run(count, **changes)], {f"n{n}": line(SCORES[n]) for n in range(6)})


def test_both_ranks_and_costs_are_told() -> None:
    found = agreed()
    assert found is not None and found.architectures == 6
    assert found.tau == pytest.approx(kendalltau(QUALITY, SCORES).statistic)
    assert found.tau_loss == pytest.approx(kendalltau([-loss for loss in LOSS], SCORES).statistic)
    assert (found.estimate_seconds, found.distilled_seconds) == (4.0, 200.0)
    assert found.share == pytest.approx(4 / 200)


def test_a_supernet_counts_in_the_cost_of_a_search() -> None:
    found = agreed(preparation=96.0)
    assert found is not None and found.share == pytest.approx((24 + 96) / (6 * 200))


def test_a_handful_of_architectures_says_nothing() -> None:
    assert agreed(4) is None
    flat = agreement([run(6)], {f"n{n}": line(0.5) for n in range(6)})
    assert flat is not None and flat.tau is None
