"""What a page shows of annealed training, of searches and of watched validation splits, on fabricated grids."""

import io
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.unit.fabricate import fabricate_results, output
from tests.unit.made import report

from distilgrid.methods.annealing_kd.report import SECTION as ANNEALING
from distilgrid.methods.annealing_kd.report import dev_scores
from distilgrid.methods.kd.report import SECTION as TUNED
from distilgrid.plan.expand import Plan
from distilgrid.reporting import wording
from distilgrid.reporting.collect import TrainedModel, collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.scoring import scoring
from distilgrid.reporting.section import task_sections
from distilgrid.reporting.sections import SELECTION
from distilgrid.stages.report.page import render

SCORING = scoring("accuracy")
TUNING = {"alpha": [0.3, 0.9], "temperature": [2, 5.0, 10], "seed": 4}
TITLES = ["Annealed training", "Selection of checkpoints", "Tuning of alpha and temperature", "Latency"]


def overlay(**more: Any) -> dict[str, Any]:
    methods = {"kd": {"objective": "kd", "tuning": TUNING}, "annealing-kd": {"objective": "annealing_kd"}}
    grid = {"tasks": ["reviews"], "students": ["two"], "methods": ["finetune", "kd", "annealing-kd"]}
    return {"grid": grid, "methods": methods, "training": {"watch_validation": True}} | more


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    plan, results = fabricate_results(tmp_path_factory.mktemp("annealing"), overlay=overlay())
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


@pytest.fixture(scope="module")
def findings(made: tuple[Plan, Path]) -> Findings:
    return find(collect(*made))


def without(findings: Findings, *names: str) -> Findings:
    """The same results, but for some entries of `metrics.json`."""
    models = [replace(m, metrics={k: v for k, v in m.metrics.items() if k not in names}) for m in models_of(findings)]
    return find(replace(findings.collected, models=models))


def models_of(findings: Findings) -> list[TrainedModel]:
    return findings.collected.models


def test_a_page_shows_each_part_once_and_a_grid_without_them_none(
    findings: Findings, made: tuple[Plan, Path], tmp_path: Path
) -> None:
    assert [section.title for section in task_sections(findings, "reviews")] == TITLES
    page = output(made, "report.html")
    assert [page.count(f"<h3>{title}</h3>") for title in TITLES] == [1] * 4
    plain = {"grid": {"tasks": ["reviews"], "students": ["two"], "seeds": [0]}}
    plan, results = fabricate_results(tmp_path, overlay=plain)
    report(plan=plan, results=results, out=results / plan.report.folder)
    found = find(collect(plan, results))
    assert [section.title for section in task_sections(found, "reviews")] == ["Latency"]
    assert render(found).count('class="extra') == 1
    assert "optimistic_score" not in output((plan, results), "table.csv")


def test_optimistic_scores_stand_beside_the_honest_ones_and_are_called_so(
    findings: Findings, made: tuple[Plan, Path]
) -> None:
    (table,) = SELECTION.tables(findings, "reviews")
    titles = {column.title: (number, column.note) for number, column in enumerate(table.columns)}
    number, note = titles["best on validation over all evaluations"]
    assert note == "optimistic, selected nothing"
    assert titles["accuracy"] == (1, "on validation, checkpoint selected on dev")
    assert "nothing was selected by it" in table.caption
    for line, row in zip(findings.of("reviews"), table.rows, strict=True):
        assert row[0].text == line.labels["method"]
        assert row[1].text == SCORING.score(line.score)
        assert row[number].text == SCORING.score(statistics.fmean(m.metrics["optimistic_score"] for m in line.models))
        assert float(row[number].text) > float(row[1].text)
    assert not any(cell.best for row in table.rows for cell in row), "what selects nothing has no best"
    for name in ("table.md", "table.tex"):
        assert "optimistic, selected nothing" in output(made, name)
    frame = pd.read_csv(io.StringIO(output(made, "table.csv")))
    assert (frame["optimistic_score"] > frame["score"]).all()


def test_scores_and_differences_do_not_look_at_optimistic_scores(findings: Findings) -> None:
    honest = without(findings, "optimistic_score")
    assert [line.score for line in honest.lines] == [line.score for line in findings.lines]
    assert honest.differences == findings.differences


def test_dev_scores_of_phases_stand_beside_the_final_one(findings: Findings) -> None:
    (table,) = SELECTION.tables(without(findings, "optimistic_score"), "reviews")
    assert [column.title for column in table.columns] == ["model", "accuracy", "dev after stage-1", "dev"]
    assert "optimistic" not in table.caption.lower() and "stage-1" in table.caption
    annealed = next(line for line in findings.of("reviews") if line.labels["method"] == "annealing-kd")
    first, last = (
        statistics.fmean(model.metrics["phases"][number]["dev"]["accuracy"] for model in annealed.models)
        for number in (0, 1)
    )
    by_method = {row[0].text: [cell.text for cell in row[2:]] for row in table.rows}
    assert by_method["annealing-kd"] == [SCORING.score(first), SCORING.score(last)]
    assert by_method["kd"][0] == by_method["teacher"][0] == wording.DASH


def test_without_phases_and_optimistic_scores_there_is_no_table(findings: Findings) -> None:
    assert SELECTION.tables(without(findings, "optimistic_score", "phases"), "reviews") == []


def test_a_search_is_shown_with_the_chosen_pair(findings: Findings, made: tuple[Plan, Path]) -> None:
    (table,) = TUNED.tables(findings, "reviews")
    kd = next(line for line in findings.of("reviews") if line.labels["method"] == "kd")
    found = kd.models[0].metrics["tuning"]
    assert table.name == "reviews: tuning of kd, two"
    assert [column.title for column in table.columns] == ["alpha", "T = 2", "T = 5", "T = 10"]
    assert [row[0].text for row in table.rows] == ["0.3", "0.9"]
    shown = [cell for row in table.rows for cell in row[1:]]
    assert [cell.text for cell in shown] == [SCORING.score(tried["dev"]) for tried in found["tried"]]
    best = max(range(6), key=lambda number: found["tried"][number]["dev"])
    assert [number for number, cell in enumerate(shown) if cell.best] == [best]
    assert [cell.note for cell in shown if cell.best] == ["chosen"]
    assert "on dev" in table.caption and "one run each with seed 4" in table.caption
    assert "tuning of kd, two" in output(made, "table.md")


def test_a_plot_sets_the_temperature_below_the_dev_scores(findings: Findings) -> None:
    (plot,) = ANNEALING.plots(findings, "reviews")
    for name in ("finetune", "kd", "annealing-kd", "epoch", "T", "two"):
        assert f">{name}</text>" in plot.svg
    assert plot.svg.count("FillBetweenPolyCollection") == 3, "a band for each method"
    assert "bands reach from the lowest seed to the highest" in plot.caption
    assert "the temperature T of annealing-kd" in plot.caption
    assert "Dotted: where the annealed stage ends." in plot.caption


def test_methods_without_a_temperature_have_no_such_plot(findings: Findings) -> None:
    models = [
        replace(model, history=model.history[~model.history["name"].isin(["temperature", "phi"])])
        for model in models_of(findings)
    ]
    assert ANNEALING.plots(find(replace(findings.collected, models=models)), "reviews") == []


def test_a_share_of_the_logits_is_shown_where_no_temperature_is_known(findings: Findings) -> None:
    models = [replace(m, history=m.history[m.history["name"] != "temperature"]) for m in models_of(findings)]
    (plot,) = ANNEALING.plots(find(replace(findings.collected, models=models)), "reviews")
    assert ">\u03c6</text>" in plot.svg
    assert "the share of the teacher's logits that annealing-kd is taught" in plot.caption


def test_curves_end_where_the_first_seed_ends(findings: Findings) -> None:
    line = next(line for line in findings.of("reviews") if line.labels["method"] == "annealing-kd")
    whole = dev_scores(line, "accuracy")
    assert list(whole) == [1.0, 2.0, 3.0]
    first, second = line.models
    short = replace(second, history=second.history[second.history["epoch"] < 3])
    late = short.history.assign(epoch=short.history["epoch"] + 0.001)  # a step later, where batches differ
    cut = dev_scores(replace(line, models=(first, replace(short, history=late))), "accuracy")
    assert cut == {epoch: whole[epoch] for epoch in (1.0, 2.0)}
