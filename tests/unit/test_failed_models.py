"""Models that learned nothing are marked in all tables, and nothing is concluded from them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.relisted import remade
from tests.unit.test_claims import file
from tests.unit.test_papers import CLAIMS, with_claims

from distilgrid.core.planned import Artefact
from distilgrid.methods.mixkd.report import SECTION as GAP
from distilgrid.plan.expand import Plan
from distilgrid.reporting import wording
from distilgrid.reporting.claims.papers import comparisons, papers, verdicts
from distilgrid.reporting.claims.papers import published as published_here
from distilgrid.reporting.claims.tables import published_table
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.lines import Line
from distilgrid.reporting.sections import SELECTION
from distilgrid.reporting.table import Table, Value
from distilgrid.reporting.tables import main_table, other_table
from distilgrid.stages.report import run as data
from distilgrid.stages.report.page import outcomes
from distilgrid.tracking.cells import all_records, grid_record

MEANING = wording.CONSTANT_MODELS
Failed = Callable[[Artefact], bool]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    overlay = {
        "grid": {"seeds": [0, 1, 2], "tasks": ["reviews"], "methods": ["finetune", "kd", "takd"]},
        "methods": {"takd": {"objective": "takd", "assistants": ["deep"]}},
        "students": {"deep": {"layers": 20}},
        "training": {"watch_validation": True},
    }
    skill = {"teacher": 1.6, "finetune": 0.2}
    return fabricate_results(
        tmp_path_factory.mktemp("failed"),
        overlay=overlay,
        skill=lambda labels: skill.get(labels["method"], 1.2),
        losses=True,
    )


def found(made: tuple[Plan, Path], failed: Failed) -> Findings:
    """The findings of the grid, some of whose models answer the same for every row."""
    collected = collect(*made)
    models = [replace(m, metrics=told(m.metrics, m.artefact, failed)) for m in collected.models]
    helpers = [replace(h, values=told(h.values, h.artefact, failed)) for h in collected.helpers]
    return find(replace(collected, models=models, helpers=helpers))


def told(metrics: dict[str, Any], artefact: Artefact, failed: Failed) -> dict[str, Any]:
    return {**metrics, "constant": True} if failed(artefact) else metrics


def one_seed_of(method: str, *, student: str = "three") -> Failed:
    return lambda model: (
        (model.labels["method"], model.labels["student"], model.labels.get("seed")) == (method, student, 0)
    )


def of(findings: Findings, method: str, *, student: str = "three") -> Line:
    (line,) = [line for line in findings.lines if (line.labels["method"], line.labels["student"]) == (method, student)]
    return line


def column(table: Table, title: str) -> dict[tuple[str, str], Value]:
    place = next(n for n, column in enumerate(table.columns) if column.title.startswith(title))
    return {(row[0].text, row[0].note): row[place] for row in table.rows}


def test_models_that_learned_nothing_are_counted_and_never_the_best(made: tuple[Plan, Path]) -> None:
    findings = found(made, one_seed_of("kd"))
    table = main_table(findings, "reviews")
    scores = column(table, "accuracy")
    assert scores["kd", "three"].note.endswith(", 1 constant") and not scores["kd", "three"].best
    assert "constant" not in scores["kd", "two"].note
    assert MEANING in table.caption


@pytest.mark.parametrize(
    ("failed", "method", "why"),
    [
        (one_seed_of("kd"), "kd", "constant"),
        (one_seed_of("finetune"), "kd", "constant baseline"),
        (lambda model: model.labels["method"] == "teacher", "kd", "constant teacher"),
        (lambda model: model.labels["student"] == "deep", "takd", "constant teacher"),
    ],
    ids=["student", "baseline", "teacher", "assistant"],
)
def test_comparisons_with_a_constant_side_are_left_out_and_say_so(
    made: tuple[Plan, Path], failed: Failed, method: str, why: str
) -> None:
    sound, findings = found(made, lambda model: False), found(made, failed)
    line = of(findings, method)
    assert of(sound, method).key in sound.differences and line.key not in findings.differences
    table = main_table(findings, "reviews")
    shown = column(table, "vs. ")[method, "three"]
    assert (shown.text, shown.note, shown.tone) == (wording.DASH, why, "")
    left = len(sound.differences) - len(findings.differences)
    assert (
        left >= 1
        and f"Left out: {wording.plural(left, 'comparison')} of this report with constant models" in table.caption
    )
    if findings.differences:  # the family of Holm's correction is what is compared
        assert f"for {wording.plural(len(findings.differences), 'comparison')}," in table.caption
    row = data.table(findings).set_index(["method", "student"]).loc[(method, "three")]
    assert row["left_out"] == why and pd.isna(row["difference"]) and pd.isna(row["p_holm"])
    assert data.table(sound)["left_out"].isna().all()


def test_the_headline_concludes_nothing_from_them(made: tuple[Plan, Path]) -> None:
    (sound,) = outcomes(found(made, lambda model: False))
    assert "in 6 of 6 comparisons" in sound.comparison
    (some,) = outcomes(found(made, lambda model: model.labels["method"] not in ("teacher", "finetune")))
    assert some.headline.startswith("finetune ") and "beats" not in some.comparison
    assert some.comparison.startswith("Nothing is compared with finetune: models, or their teachers, answer the same")
    (part,) = outcomes(found(made, one_seed_of("kd")))
    assert "in 5 of 5 comparisons" in part.comparison
    (untaught,) = outcomes(found(made, lambda model: model.labels["method"] == "teacher"))
    assert untaught.headline.startswith("finetune ") and "keeps" not in untaught.headline
    assert " the teacher's speed (" in untaught.headline
    assert untaught.headline.endswith("; the teacher answers the same for every row.")
    (none,) = outcomes(found(made, lambda model: model.stage == "distill"))
    assert none.headline.startswith("No student learned anything") and none.figures == []


def test_every_table_of_scores_marks_them(made: tuple[Plan, Path]) -> None:
    findings = found(made, one_seed_of("kd"))
    other = other_table(findings, "reviews")
    (gap,), (selection,) = GAP.tables(findings, "reviews"), SELECTION.tables(findings, "reviews")
    assert other
    for table, title in ((other, "F1"), (gap, "gap"), (gap, "training loss"), (selection, "dev"), (selection, "best")):
        shown = column(table, title)
        assert shown["kd", "three"].note.endswith(", 1 constant"), title
        assert "constant" not in shown["kd", "two"].note
        assert MEANING in table.caption
    smallest = column(main_table(findings, "reviews"), "accuracy")
    assert not smallest["kd", "three"].best


def test_a_constant_model_with_the_smallest_gap_is_not_the_best(made: tuple[Plan, Path]) -> None:
    findings = found(made, lambda model: False)
    (gap,) = GAP.tables(findings, "reviews")
    best = next(name for name, value in column(gap, "gap").items() if value.best)
    (gap,) = GAP.tables(found(made, one_seed_of(best[0], student=best[1])), "reviews")
    assert not column(gap, "gap")[best].best


def test_published_numbers_and_files_mark_ours(made: tuple[Plan, Path]) -> None:
    findings = found(made, one_seed_of("kd"))
    number = {"model": "Big", "task": "reviews", "metric": "accuracy", "split": "test", "value": 91.5}
    number |= {"certainty": "sourced", "source": "table 1", "method": "kd", "student": "three"}
    table = published_table(findings, file(published=[number]))
    assert table and table.rows[0][-1].note.endswith(", 1 constant") and MEANING in table.caption
    frame = data.table(findings).set_index(["method", "student"])["constant"]
    assert frame["kd", "three"] == 1 and frame.sum() == 1
    nested = data.metrics(findings)["reviews"]
    assert nested["three"]["kd"]["constant"] == 1 and "constant" not in nested["two"]["kd"]


@pytest.fixture(scope="module")
def stored(made: tuple[Plan, Path], tmp_path_factory: pytest.TempPathFactory, undrawn: None) -> tuple[Plan, Path]:
    """The grid with a kd student of seed 0 that failed, as its files say, and with the report of a paper."""
    import shutil

    import yaml

    root = tmp_path_factory.mktemp("stored")
    number = {"model": "Big", "task": "reviews", "metric": "accuracy", "split": "test", "value": 91.5}
    number |= {"certainty": "sourced", "source": "table 1", "method": "kd", "student": "three"}
    pd.DataFrame([number]).to_csv(root / "paper.expected.csv", index=False)
    (root / "paper.claims.yaml").write_text(yaml.safe_dump(CLAIMS))
    plan, results = made[0], Path(shutil.copytree(made[1], root / "results"))
    for model in filter(one_seed_of("kd"), plan.students):
        remade(results / model.folder / "metrics.json", {"constant": True})
    plan = with_claims(plan, root / "paper.claims.yaml", "failed")
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


def test_papers_compare_only_what_learned_something(stored: tuple[Plan, Path]) -> None:
    (paper,) = papers(stored[1])
    table = comparisons(paper)
    own = {(row[2].text, row[2].note): row for row in table.rows}
    failed, sound = own["kd", "three"], own["kd", "two"]
    assert (failed[4].text, failed[4].note, failed[4].tone) == (wording.DASH, "constant", "")
    assert failed[3].note.endswith(", 1 constant") and "constant" not in sound[3].note
    assert {value.text for value in failed[5:8]} == {wording.DASH} and sound[6].text != wording.DASH
    assert MEANING in table.caption
    assert MEANING in published_here(paper).caption
    assert published_here(paper).rows[0][-1].note.endswith(", 1 constant")
    assert "no models that learned anything for kd, three" in verdicts(paper).rows[0][-1].note


def test_a_recipe_with_a_constant_model_is_not_the_best_in_mlflow(stored: tuple[Plan, Path]) -> None:
    plan, results = stored
    records = all_records(plan, results)
    dev = [record for record in records if record.tags["recipe"] == "kd / three"]
    for record in dev:
        record.metrics["dev_best/accuracy"] = 1.0
    assert [record.tags.get("constant") for record in dev] == ["yes", None, None]
    grid = grid_record(plan, records)
    assert grid.tags["best_score.reviews"] not in ("kd / three", "") and "best_score/reviews" in grid.metrics
    dev[0].tags.pop("constant")
    assert grid_record(plan, records).tags["best_score.reviews"] == "kd / three"
    next(record for record in records if record.tags["role"] == "teacher").tags["constant"] = "yes"
    assert grid_record(plan, records).tags["best_score.reviews"].startswith("finetune")
