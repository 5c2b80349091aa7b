"""Training budgets in reports: where lines were trained for longer or on more, tables, claims and papers say so."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.test_papers import CLAIMS, NUMBERS, with_claims
from tests.unit.test_params import OVERLAYS, below

from distilgrid.plan.expand import Plan
from distilgrid.plan.params import Params, effective_training, load_params
from distilgrid.reporting.budgets import OTHER_SIDE, Budget
from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.claims.papers import comparisons, papers, verdicts
from distilgrid.reporting.claims.schema import ClaimsFile
from distilgrid.reporting.claims.tables import claims_json, claims_table
from distilgrid.reporting.collect import Collected, collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.section import number_tables
from distilgrid.reporting.table import Table, latex, markdown
from distilgrid.reporting.tables import main_table, other_table, paper_table
from distilgrid.reporting.wording import TIMES
from distilgrid.stages.report.page import outcomes
from distilgrid.stages.report.run import table

Spent = Callable[[Mapping[str, Any]], tuple[float, float]]  # factors on steps and reads
CLAIM = {
    "id": "kd-helps",
    "claim": "It helps.",
    "source": "abstract",
    "certainty": "sourced",
    "better": {"method": "kd"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A grid whose students all have 12 steps of as many tokens."""
    return fabricate_results(tmp_path_factory.mktemp("budgets"), overlay={"grid": {"seeds": [0, 1, 2]}})


def spent(made: tuple[Plan, Path], factors: Spent) -> Findings:
    """The grid's findings, had its models trained for longer or read more."""
    collected: Collected = collect(*made)
    for model in collected.models:
        steps, reads = factors(model.artefact.labels)
        model.metrics["steps"] = round(12 * steps)
        model.metrics["tokens_per_second"] *= reads
    return find(collected)


def kd_longer(labels: Mapping[str, Any]) -> tuple[float, float]:
    return (6.0, 6.0) if labels["method"] == "kd" else (1.0, 1.0)


def kd_reads_more(labels: Mapping[str, Any]) -> tuple[float, float]:
    return (1.0, 2.3) if labels["method"] == "kd" else (1.0, 1.0)


def column(table: Table | None, title: str = "steps") -> dict[str, set[tuple[str, str]]]:
    """The values of a column by method."""
    assert table is not None
    place = [each.title for each in table.columns].index(title)
    found: dict[str, set[tuple[str, str]]] = {}
    for row in table.rows:
        found.setdefault(row[0].text, set()).add((row[place].text, row[place].note))
    return found


def file(**more: Any) -> ClaimsFile:
    paper = {"title": "A paper", "year": 2021, "url": "https://example.org"}
    return ClaimsFile.model_validate({"paper": paper, "claims": [{**CLAIM, "worse": {"method": "finetune"}, **more}]})


def test_equal_budgets_have_no_column(made: tuple[Plan, Path]) -> None:
    """A teacher's own training is no budget of a comparison."""
    found = spent(made, lambda labels: (9.0, 9.0) if labels["method"] == "teacher" else (1.0, 1.0))
    for each in (main_table(found, "topics"), other_table(found, "topics"), paper_table(found, "topics")):
        assert each is not None
        assert "steps" not in [c.title for c in each.columns] and "Budgets" not in each.caption
    judged = evaluate(found, file())
    assert "steps" not in [c.title for c in claims_table(found, file(), judged=judged).columns]
    assert all(result["budget"] is None for result in claims_json(found, file(), judged=judged)["claims"][0]["results"])
    assert "steps" not in outcomes(found)[0].comparison


def test_tables_show_the_steps_and_their_ratio_to_the_baseline(made: tuple[Plan, Path]) -> None:
    found = spent(made, kd_longer)
    for each in (main_table(found, "topics"), other_table(found, "topics"), paper_table(found, "topics")):
        assert each is not None
        steps = column(each)
        assert steps["kd"] == {("72", f"6.0{TIMES}")} and steps["finetune"] == {("12", f"1.0{TIMES}")}
        assert "Budgets differ. Steps: optimiser steps done" in each.caption
        assert f"72 (6.0{TIMES})" in markdown([each]) and r"72 6.0$\times$" in latex([each])
    assert f"; steps 6.0{TIMES} finetune's" in outcomes(found)[0].comparison


def test_every_table_that_compares_methods_has_the_column(tmp_path: Path) -> None:
    """Ablations, selection of checkpoints and the generalisation gap."""
    grid = {"methods": ["finetune", "kd", "soft", "hard"]}
    methods = {"soft": {"objective": "kd", "alpha": 0.3}, "hard": {"objective": "kd", "alpha": 0.9}}
    overlay = {"grid": grid, "methods": methods, "training": {"watch_validation": True}}
    found = spent(fabricate_results(tmp_path, overlay=overlay, losses=True), kd_longer)
    tables = {table.name: table for table in number_tables(found)}
    assert column(tables["reviews: alpha"])["0.7"] == {("72", f"6.0{TIMES}")}
    for name in ("selection of checkpoints", "generalisation gap"):
        steps = column(tables[f"reviews: {name}"])
        assert steps["kd"] == {("72", f"6.0{TIMES}")} and steps["soft"] == {("12", f"1.0{TIMES}")}
    said = {name for name, table in tables.items() if "Budgets differ" in table.caption}
    names = ("alpha", "selection of checkpoints", "generalisation gap")
    assert said == {f"{task}: {name}" for task in found.tasks for name in names}, "latencies have no budget"


def test_more_reading_in_as_many_steps_is_a_larger_budget(made: tuple[Plan, Path]) -> None:
    steps = column(main_table(spent(made, kd_reads_more), "reviews"))
    assert steps["kd"] == {("12", f"1.0{TIMES}, reads 2.3{TIMES}")} and steps["finetune"] == {("12", f"1.0{TIMES}")}


def test_a_run_that_stopped_early_counts_as_far_as_it_went(made: tuple[Plan, Path]) -> None:
    found = spent(made, lambda m: (0.5, 0.5) if m["method"] == "kd" and m["seed"] == 1 else (1.0, 1.0))
    assert column(main_table(found, "reviews"))["kd"] == {("10", f"0.8{TIMES}")}, "mean of 12, 6 and 12"


def test_without_a_baseline_the_column_says_what_was_read(made: tuple[Plan, Path]) -> None:
    plan, results = made
    settings = plan.params.report.model_copy(update={"baseline": "other"})
    other = replace(plan, params=plan.params.model_copy(update={"report": settings}))
    found = spent((other, results), lambda m: (1.0 if m["student"] == "two" else 2.0, 1.0))
    steps = column(main_table(found, "reviews"))
    assert steps["kd"] == {("24", "reads 67.5 k"), ("12", "reads 67.5 k")}


def test_csv_has_the_budgets(made: tuple[Plan, Path]) -> None:
    rows = table(spent(made, kd_reads_more)).query("task == 'reviews' and student == 'two'").set_index("method")
    assert list(rows["steps"]) == [12, 12]
    assert rows.loc["kd", "reads"] == pytest.approx(2.3 * rows.loc["finetune", "reads"])
    assert rows.loc["kd", "reads_to_baseline"] == pytest.approx(2.3)
    assert rows.loc["kd", "steps_to_baseline"] == rows.loc["finetune", "reads_to_baseline"] == 1


def test_claims_say_the_ratio_of_their_sides_budgets(made: tuple[Plan, Path]) -> None:
    found = spent(made, kd_longer)
    judged = evaluate(found, file())
    claimed = claims_table(found, file(), judged=judged)
    assert column(claimed)["kd-helps"] | column(claimed)[""] == {(f"6.0{TIMES}", "")}
    assert "optimiser steps of the first side in those of the second" in claimed.caption
    results = claims_json(found, file(), judged=judged)["claims"][0]["results"]
    assert [result["budget"]["steps"] for result in results] == pytest.approx([6.0] * 3)
    (swapped,) = evaluate(found, file(better={"method": "finetune"}, worse={"method": "kd"}))
    assert swapped.results[0].budget == Budget(pytest.approx(1 / 6), pytest.approx(1 / 6))


@pytest.mark.parametrize(
    ("metric", "worse"), [("main", {"method": "teacher"}), ("latency.onnxruntime-fp32", {"method": "finetune"})]
)
def test_a_teacher_and_a_latency_have_no_budget(made: tuple[Plan, Path], metric: str, worse: dict[str, str]) -> None:
    unit = "points" if metric == "main" else "ms"
    (judged,) = evaluate(spent(made, kd_longer), file(metric=metric, worse=worse, unit=unit))
    assert judged.results and all(result.budget is None for result in judged.results)


def test_a_difference_of_differences_compares_the_sides_of_both(made: tuple[Plan, Path]) -> None:
    """Both students' kd has twice the steps of their finetune: so do the sides, though students differ."""
    found = spent(
        made, lambda m: ((2.0 if m["method"] == "kd" else 1.0) * (3.0 if m["student"] == "two" else 1.0), 1.0)
    )
    better = {"method": "kd", "student": "two"}
    than = {"better": {"method": "kd", "student": "three"}, "worse": {"method": "finetune"}}
    (judged,) = evaluate(found, file(better=better, than=than))
    assert all(result.budget == Budget(2.0, 1.0) for result in judged.results)


def test_pages_of_papers_say_it(
    made: tuple[Plan, Path], tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paper.claims.yaml").write_text(yaml.safe_dump(CLAIMS))
    pd.DataFrame(NUMBERS).to_csv(tmp_path / "paper.expected.csv", index=False)
    plan, results = made
    own = with_claims(plan, tmp_path / "paper.claims.yaml", "longer")
    longer = spent(made, kd_longer).collected
    monkeypatch.setattr("distilgrid.stages.report.run.collect", lambda *_: replace(longer, plan=own))
    report(plan=own, results=results, out=results / own.report.folder)
    (paper,) = papers(results)
    compared, claimed = comparisons(paper), verdicts(paper)
    assert compared.columns[-1].title == "steps" and {row[-1].text for row in compared.rows} == {f"6.0{TIMES}"}
    assert claimed.rows[0][-1].note.endswith(f", steps 6.0{TIMES} {OTHER_SIDE}, n=3, 2 tasks")
    assert "first side" in claimed.caption
    older = replace(paper.reports[0], table=paper.reports[0].table.drop(columns="steps_to_baseline"))
    assert comparisons(replace(paper, reports=[older])).columns[-1].title == "p, Holm", "older reports have no budgets"


def planned(params: Params) -> set[tuple[int, float]]:
    """The epochs of a grid's methods and students, and the mixed examples beside each original one."""
    found = set()
    for method, student in product(params.grid.methods, params.grid.students):
        own = params.methods[method]
        training = effective_training(params, own.training, params.students[student].training)
        mixing = getattr(own, "mixing", None)
        epochs = sum(stage.epochs for stage in own.staged(training)) or training.epochs
        found.add((epochs, mixing.ratio if mixing else 0.0))
    return found


@pytest.mark.parametrize("grid", OVERLAYS, ids=lambda grid: grid.stem)
def test_a_grid_says_first_when_its_methods_have_different_budgets(grid: Path) -> None:
    files = [*below(grid), grid]
    heads = [file.read_text(encoding="utf-8").partition("\ngrid:")[0] for file in files]
    unequal = len(planned(load_params(files))) > 1
    said = [verb for head in heads for verb in re.findall(r"^# Budgets (differ|are equal): ", head, re.MULTILINE)]
    assert said[-1:] == ["differ"] if unequal else said[-1:] in ([], ["are equal"])
