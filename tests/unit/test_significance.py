"""Stars, tones and p-values of a report: the claims' estimator, and Holm's correction by its false alarms."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.unit.fabricate import fabricate_results
from tests.unit.test_claims import file

from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.intervals import holm, resampled_scores, samples_needed
from distilgrid.reporting.tables import main_table
from distilgrid.stages.report import run as data
from distilgrid.stages.report.page import outcomes


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    plan, results = fabricate_results(tmp_path_factory.mktemp("significance"))
    return find(collect(plan, results))


def test_worked_example() -> None:
    """R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_false_alarms_among_many_comparisons_are_as_rare_as_asked() -> None:
    """Twenty comparisons of equals, a thousand times."""
    chance = np.random.default_rng(1).random((1000, 20))
    alarms = [min(holm(dict(enumerate(row))).values()) <= 0.05 for row in chance]
    assert (chance.min(axis=1) <= 0.05).mean() > 0.5, "without correction most families have one"
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.02)


def test_a_star_stands_where_the_corrected_value_is_small_enough(findings: Findings) -> None:
    keys = list(findings.differences)
    changed = {key: replace(found, adjusted=0.2, seeds=3) for key, found in findings.differences.items()}
    changed[keys[0]] = replace(changed[keys[0]], adjusted=0.01)
    told = main_table(replace(findings, differences=changed), findings.tasks[0])
    column = next(n for n, c in enumerate(told.columns) if c.title.startswith("vs."))
    assert sum(row[column].text.endswith("*") for row in told.rows) == 1
    assert f"after Holm's correction for {len(keys)} comparisons" in told.caption


def test_the_table_of_numbers_has_both_values(findings: Findings) -> None:
    frame = data.table(findings)
    compared = frame[frame["difference"].notna()]
    assert len(compared) == len(findings.differences)
    assert (compared["p_holm"] >= compared["p"]).all()
    assert compared["p"].between(0, 1).all()


def test_the_outcome_counts_what_the_correction_leaves(findings: Findings) -> None:
    sure = {key: replace(found, value=0.05, low=0.02, adjusted=0.2) for key, found in findings.differences.items()}
    (said, *_) = outcomes(replace(findings, differences=sure))
    assert "in 0 after Holm's correction" in said.comparison


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Four seeds on one task, of which kd is far better than fine-tuning."""
    overlay = {"grid": {"seeds": [0, 1, 2, 3], "tasks": ["reviews"]}}
    skill = {"teacher": 1.6, "kd": 1.2, "finetune": 0.2}
    made = fabricate_results(
        tmp_path_factory.mktemp("many"), overlay=overlay, skill=lambda labels: skill[labels["method"]]
    )
    return find(collect(*made))


def cut(findings: Findings, seeds: int) -> Findings:
    """The same results of fewer seeds."""
    models = [m for m in findings.collected.models if m.artefact.stage == "finetune" or m.seed < seeds]
    return find(replace(findings.collected, models=models))


def test_clear_differences_of_many_rows_and_seeds_survive(many: Findings) -> None:
    assert all(many.is_sure(line) for line in many.of("reviews") if line.key in many.differences)


def test_tables_and_claims_have_one_interval_and_one_p_value(many: Findings) -> None:
    sides = {"better": {"method": "kd"}, "worse": {"method": "finetune"}}
    claims = [{**sides, "better": {"method": "kd", "student": name}} for name in ("three", "two")]
    judged = evaluate(many, file(*claims))
    found = {key[3]: difference for key, difference in many.differences.items()}
    for name, judgement in zip(("three", "two"), judged, strict=True):
        (result,), table = judgement.results, found[name]
        assert (result.effect, result.low, result.high, result.p) == pytest.approx(
            (table.value, table.low, table.high, table.p), rel=1e-9
        )
        assert result.covers == "seeds and rows"


def test_seeds_that_disagree_leave_no_star_however_many_rows_agree(many: Findings) -> None:
    """kd gains 60 points with one seed and loses as much with another: rows are sure of the mean, seeds are not."""
    collected = many.collected
    turned = []
    for model in collected.models:
        labels = model.artefact.labels
        swapped = {**labels, "method": "finetune" if labels["method"] == "kd" else "kd"}
        other = labels["method"] != "teacher" and labels["seed"] == 1
        turned.append(replace(model, artefact=replace(model.artefact, labels=swapped)) if other else model)
    found = find(replace(collected, models=turned))
    for line in found.of("reviews"):
        if line.key in found.differences:
            difference = found.differences[line.key]
            assert difference.value > 0.1 and difference.verdict == "unclear" and not found.is_sure(line)


def test_two_seeds_have_no_star_whatever_the_p_value(many: Findings) -> None:
    two = cut(many, 2)
    changed = {key: replace(found, p=1e-9, adjusted=1e-9) for key, found in two.differences.items()}
    told = main_table(replace(two, differences=changed), "reviews")
    column = next(n for n, c in enumerate(told.columns) if c.title.startswith("vs."))
    assert not any(row[column].text.endswith("*") for row in told.rows)
    assert not data.table(replace(two, differences=changed))["sure"].any()
    assert "at least 3 seeds" in told.caption
    claim = {"better": {"method": "kd"}, "worse": {"method": "finetune"}}
    for known, corrected in ((two, "not enough evidence"), (many, "confirmed")):
        (judgement,) = evaluate(known, file(claim))
        assert judgement.corrected == corrected


def test_hundreds_of_comparisons_can_still_be_passed(many: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of 200 resamples are never below 2 / 201: 60 comparisons would take the least of them to 0.6."""
    collected, fractions, drawn = many.collected, [(n + 1) / 30 for n in range(30)], []
    params = collected.plan.params
    grid = params.grid.model_copy(update={"fractions": fractions})
    plan = replace(collected.plan, params=params.model_copy(update={"grid": grid}))
    models = []
    for model in collected.models:
        for fraction in [1.0] if model.artefact.stage == "finetune" else fractions:
            labels = {**model.artefact.labels, "fraction": fraction}
            models.append(replace(model, artefact=replace(model.artefact, labels=labels)))

    def noted(*args: Any, samples: int, **more: Any) -> Any:
        drawn.append(samples)
        return resampled_scores(*args, samples=samples, **more)

    monkeypatch.setattr("distilgrid.reporting.findings.resampled_scores", noted)
    found = find(replace(collected, plan=plan, models=models))
    assert len(found.differences) == 60
    assert all(found.is_sure(line) for line in found.lines if line.key in found.differences)
    find(collected)
    assert drawn[0] > drawn[1] > 200, "more comparisons draw more resamples"


@pytest.mark.parametrize("comparisons", [1, 56, 96, 1000])
def test_resamples_are_enough_for_the_strictest_threshold(comparisons: int) -> None:
    """The spread of p-values at the threshold, over variances that were estimated from that many resamples."""
    samples = samples_needed(comparisons, 0.95, least=100)
    z = stats.norm.isf(0.025 / comparisons)
    variances = np.random.default_rng(0).chisquare(samples - 1, size=4000) / (samples - 1)
    values = 2 * stats.norm.sf(z / np.sqrt(variances))
    assert 0.07 < values.std() / values.mean() < 0.14
    assert samples_needed(comparisons, 0.95, least=10**6) == 10**6


def test_one_seed_shows_no_interval_and_says_so(many: Findings) -> None:
    one = cut(many, 1)
    assert all((d.low, d.high, d.p, d.verdict) == (None, None, None, "unclear") for d in one.differences.values())
    told = main_table(one, "reviews")
    column = next(n for n, c in enumerate(told.columns) if c.title.startswith("vs."))
    shown = [row[column] for row in told.rows if row[column].note]
    assert {value.note for value in shown} == {"one seed"} and not any(value.tone for value in shown)
    assert "One seed, so no interval over seeds exists and none is shown." in told.caption
    (said,) = outcomes(one)
    assert said.comparison.endswith("points; one seed, so no interval over seeds exists and none is shown.")
    assert "CI [" not in said.comparison
    frame = data.table(one)
    assert frame["difference"].notna().any() and frame[["ci_low", "p", "p_holm"]].isna().all(axis=None)
