"""Scale and direction of metrics: a made-up loss, less of which is better and which is shown unscaled."""

from dataclasses import replace

import pytest
from tests.unit.fabricate import fabricate_results
from tests.unit.test_claims import file

from distilgrid.deployment.choice import Limits, choose
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import list_options
from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Difference, Findings, find
from distilgrid.reporting.plots import pareto, points
from distilgrid.reporting.scoring import Scoring, scoring
from distilgrid.reporting.tables import main_table
from distilgrid.stages.report.page import outcomes, render

LOSS = Scoring("perplexity", 1.0, higher_is_better=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    overlay = {"grid": {"tasks": ["reviews"]}}
    return find(collect(*fabricate_results(tmp_path_factory.mktemp("scoring"), overlay=overlay)))


@pytest.fixture
def turned(results: Findings, monkeypatch: pytest.MonkeyPatch) -> Findings:
    """The same results, read as if the main metric were a loss."""
    monkeypatch.setattr("distilgrid.reporting.lines.scoring", lambda metric: LOSS)
    return find(results.collected)


def test_our_metrics_are_points_and_more_is_better() -> None:
    for name in ("accuracy", "f1", "matthews", "pearson", "spearman"):
        found = scoring(name)
        assert (found.scale, found.higher_is_better, found.unit) == (100, True, " points")
    shown = scoring("matthews")
    assert (shown.title, shown.factor, shown.axis) == (
        "Matthews correlation",
        "\u00d7100",
        "Matthews correlation \u00d7 100",
    )
    assert (shown.score(-0.5), shown.signed(0.0123), shown.signed(-0.0001)) == ("\u221250.0", "+1.2", "0.0")
    assert shown.bounds(-0.01, 0.02) == "[\u22121.0,\u00a02.0]"


def test_a_metric_in_its_own_unit_is_not_scaled() -> None:
    assert (LOSS.score(12.3456), LOSS.points(-0.25), LOSS.factor, LOSS.axis) == (
        "12.346",
        "\u22120.250",
        "",
        "perplexity",
    )


@pytest.mark.parametrize(
    ("low", "high", "sign", "verdict"),
    [(0.1, 0.2, 1, "better"), (0.1, 0.2, -1, "worse"), (-0.2, -0.1, -1, "better"), (-0.1, 0.1, -1, "unclear")],
)
def test_the_direction_decides_the_verdict(low: float, high: float, sign: int, verdict: str) -> None:
    assert Difference((low + high) / 2, low, high, sign=sign).verdict == verdict


def test_the_lowest_student_is_the_best_one(results: Findings, turned: Findings) -> None:
    students = [line for line in turned.of("reviews") if not line.is_teacher]
    chosen = min(students, key=lambda line: line.dev)
    outcome = outcomes(turned)[0]
    named = f"{chosen.labels['method']} {chosen.name}, best on dev,"
    assert outcome.headline.startswith(f"{named} scores {chosen.score:.3f} of ")
    assert "points" not in outcome.headline + outcome.comparison
    table = main_table(turned, "reviews")
    (column,) = [n for n, column in enumerate(table.columns) if column.title == "perplexity" and not column.note]
    marked = [row[0] for row in table.rows if row[column].best]
    assert [(value.text, value.note) for value in marked] == [(chosen.labels["method"], chosen.name)]
    verdicts = {key: found.verdict for key, found in results.differences.items()}
    other = {"better": "worse", "worse": "better", "unclear": "unclear"}
    assert {key: found.verdict for key, found in turned.differences.items()} == {
        k: other[v] for k, v in verdicts.items()
    }
    assert "better" in verdicts.values()


def test_fronts_and_plots_follow_the_direction(turned: Findings) -> None:
    one = points(turned, "reviews")[0]
    found = [replace(one, latency_ms=ms, score=score, dev=score) for ms, score in ((1.0, 9.0), (2.0, 9.5), (3.0, 8.0))]
    assert [(point.latency_ms, point.score) for point in pareto(found)] == [(1.0, 9.0), (3.0, 8.0)]
    assert ">perplexity<" in render(turned)


def test_a_model_is_chosen_by_what_it_loses(turned: Findings) -> None:
    offer = list_options(turned, "reviews", Where(turned.collected.plan.params.benchmark.devices[0]))
    assert all(option.loss == pytest.approx(option.dev - option.dev_teacher) for option in offer.options)
    worst = replace(offer.options[0], dev=99.0)
    decision = choose(replace(offer, options=(worst, *offer.options)), limits=Limits(latency_ms=1e6, loss=0.0))
    assert decision.winner is not None and decision.winner.dev < 1, "all students score below their teacher"


def test_claims_take_the_direction_of_the_metric(turned: Findings) -> None:
    sides = {"better": {"method": "kd"}, "worse": {"method": "finetune"}, "tasks": ["reviews"]}
    (judgement,) = evaluate(turned, file(sides))
    assert (judgement.scoring.higher_is_better, judgement.scoring.scale) == (False, 1.0)
    (said,) = evaluate(turned, file({**sides, "direction": "higher"}))
    assert said.scoring.higher_is_better
    assert {judgement.verdict, said.verdict} in ({"confirmed", "refuted"}, {"not enough evidence"})
