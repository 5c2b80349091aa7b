"""What a page shows of limited data, ablations, gaps, augmented rows and features, on fabricated grids."""

import re
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report

from distilgrid.augmentation.report import LONGEST
from distilgrid.augmentation.report import SECTION as AUGMENTED
from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.planned import listed
from distilgrid.methods.mixkd.report import SECTION as GAP
from distilgrid.plan.expand import Plan
from distilgrid.reporting.collect import collect
from distilgrid.reporting.figures import band
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.scoring import scoring
from distilgrid.reporting.section import task_sections
from distilgrid.reporting.sections import LIMITED_DATA as LIMITED
from distilgrid.reporting.sections import AblationSection, find_ablations, row_counts
from distilgrid.stages.features.plot import SECTION
from distilgrid.stages.report import run as data
from distilgrid.stages.report.page import render

SCORING = scoring("accuracy")
BETAS = {"mild": 0.1, "usual": 0.4, "strong": 4.0}
FRACTIONS = [0.1, 1.0]
TSNE = {"projection": "tsne", "explained_variance": None}
TITLES = [
    "With fewer training rows",
    "Ablation of mixkd: mixup.beta",
    "Latency",
    "Generalisation gap",
    "What the teacher makes of the rows",
    "Augmented rows",
]


def skill(labels: Mapping[str, Any]) -> float:
    """Fewer rows make everything worse, teachers too."""
    best = 1.4 if labels["method"] == "teacher" else 0.7 if labels["method"] == "finetune" else 0.9
    return best - (0.5 if labels["fraction"] < 1 else 0.0)


def overlay(**grid: Any) -> dict[str, Any]:
    methods = {name: {"objective": "mixkd", "mixup": {"beta": beta}} for name, beta in BETAS.items()}
    wanted = {"tasks": ["reviews"], "methods": ["finetune", "kd", *methods], "students": ["two"]}
    return {
        "grid": wanted | {"fractions": FRACTIONS, "augmentations": ["none", "eda"]} | grid,
        "methods": methods,
        "teachers": {"big": {"rows": "students"}},
        "augmentations": {"eda": {"kind": "eda"}},
        "report": {"features": {}},
        "benchmark": {"runtimes": ["torch-eager-fp32"]},
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """One task with everything that a page can show."""
    folder = tmp_path_factory.mktemp("extras")
    plan, results = fabricate_results(folder, overlay=overlay(), skill=skill, losses=True)
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


@pytest.fixture(scope="module")
def findings(made: tuple[Plan, Path]) -> Findings:
    return find(collect(*made))


@pytest.fixture(scope="module")
def page(made: tuple[Plan, Path]) -> str:
    plan, results = made
    return (results / plan.report.folder / "report.html").read_text(encoding="utf-8")


def test_a_page_shows_each_part_once_and_a_plain_grid_none(findings: Findings, page: str, tmp_path: Path) -> None:
    assert [section.title for section in task_sections(findings, "reviews")] == TITLES
    assert [page.count(f"<h3>{title}</h3>") for title in TITLES] == [1] * 6
    plain = {"grid": {"tasks": ["reviews"], "students": ["two"], "seeds": [0]}}
    found = find(collect(*fabricate_results(tmp_path, overlay=plain)))
    assert [section.title for section in task_sections(found, "reviews")] == ["Latency"]
    assert render(found).count('class="extra') == 1


def test_ids_stay_unique_and_references_whole(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([\w.-]+)', page)) <= set(ids)


# Teachers of several shares -------------------------------------------------------------------------------------------


def test_a_line_is_compared_with_the_teacher_of_its_own_share(findings: Findings) -> None:
    teachers = [line for line in findings.of("reviews") if line.is_teacher]
    assert [line.name for line in teachers] == ["big (10 % of rows)", "big (100 % of rows)"]
    assert findings.of("reviews")[:2] == teachers
    for line in findings.of("reviews"):
        assert findings.teacher(line).labels["fraction"] == line.labels["fraction"]
    frame = data.table(findings)
    few = frame[(frame["fraction"] == 0.1) & (frame["role"] == "student")].iloc[0]
    assert few["share_of_teacher"] == pytest.approx(few["score"] / teachers[0].score)
    assert {"big (10 % of rows)", "big (100 % of rows)"} <= data.metrics(findings)["reviews"].keys()


@pytest.mark.parametrize("fractions", [[0.1, 1.0], [0.1, 0.5], [0.1]])
def test_a_teacher_that_saw_all_rows_serves_every_share(tmp_path: Path, fractions: list[float]) -> None:
    grid = {"tasks": ["reviews"], "students": ["two"], "seeds": [0], "fractions": fractions}
    found = find(collect(*fabricate_results(tmp_path, overlay={"grid": grid}, skill=skill)))
    (teacher,) = [line for line in found.lines if line.is_teacher]
    assert (teacher.name, teacher.labels["fraction"]) == ("big", 1.0)
    assert {found.teacher(line) for line in found.lines} == {teacher}


def test_a_single_small_share_has_its_own_teacher(tmp_path: Path) -> None:
    grid = {"tasks": ["reviews"], "students": ["two"], "seeds": [0], "fractions": [0.1]}
    changes = {"grid": grid, "teachers": {"big": {"rows": "students"}}}
    found = find(collect(*fabricate_results(tmp_path, overlay=changes, skill=skill)))
    assert [(line.name, line.labels["fraction"]) for line in found.lines if line.is_teacher] == [("big", 0.1)]


# Limited data ---------------------------------------------------------------------------------------------------------


def test_a_plot_for_each_student_names_methods_rows_and_bands(findings: Findings) -> None:
    (plot,) = LIMITED.plots(findings, "reviews")
    for name in ("finetune", "kd", "kd with eda", "mild with eda", "teacher big"):
        assert f">{name}</text>" in plot.svg
    for tick in ("12", "120", "10 %", "100 %"):
        assert f">{tick}</" in plot.svg
    assert row_counts(findings, "reviews") == {0.1: 12, 1.0: 120}
    assert "bands reach from the lowest seed to the highest" in plot.caption
    assert "which saw the same rows as its students" in plot.caption


@pytest.mark.parametrize(
    ("seeds", "said", "bands"),
    [([0], "there are no bands", 0), ([0, 1], "lowest seed to the highest", 2), ([0, 1, 2], "one standard dev", 2)],
)
def test_captions_say_what_the_bands_are(tmp_path: Path, seeds: list[int], said: str, bands: int) -> None:
    grid = {"tasks": ["reviews"], "students": ["two"], "fractions": FRACTIONS, "seeds": seeds}
    found = find(collect(*fabricate_results(tmp_path, overlay={"grid": grid}, skill=skill)))
    (plot,) = LIMITED.plots(found, "reviews")
    assert said in plot.caption and "which saw all rows" in plot.caption
    assert plot.svg.count("FillBetweenPolyCollection") == bands


def test_bands_are_a_standard_deviation_from_three_seeds_on() -> None:
    assert band([0.5]) == (0.5, 0.5)
    assert band([0.7, 0.5]) == (0.5, 0.7)
    scores = [0.5, 0.7, 0.9]
    assert band(scores) == pytest.approx((0.7 - statistics.stdev(scores), 0.7 + statistics.stdev(scores)))


# Ablations and gaps ---------------------------------------------------------------------------------------------------


def test_an_ablation_table_holds_the_scores_of_its_methods(findings: Findings) -> None:
    (ablation,) = find_ablations(findings.collected.plan.params)
    (table,) = AblationSection(ablation).tables(findings, "reviews")
    assert [(row[0].text, row[0].note) for row in table.rows] == [("0.1", "mild"), ("0.4", "usual"), ("4", "strong")]
    names = [column.title for column in table.columns[1:]]
    lines = {(line.name, line.labels["method"]): line for line in findings.of("reviews")}
    for row in table.rows:
        assert [cell.text for cell in row[1:]] == [SCORING.score(lines[name, row[0].note].score) for name in names]
    assert "on split validation" in table.caption


def test_the_gap_table_marks_the_smallest_gap_among_students(findings: Findings, made: tuple[Plan, Path]) -> None:
    (table,) = GAP.tables(findings, "reviews")
    lines = findings.of("reviews")
    assert [row[0].text for row in table.rows] == [line.labels["method"] for line in lines]
    gaps = [statistics.fmean(m.metrics["generalisation_gap"] for m in line.models) for line in lines]
    assert [row[3].text for row in table.rows] == [f"{gap:.3f}" for gap in gaps]
    assert [row[3].best for row in table.rows].index(True) == gaps.index(min(gaps[2:]))
    assert not any(row[1].best for row in table.rows), "a low training loss is no merit"
    plan, results = made
    assert "generalisation gap" in (results / plan.report.folder / "table.md").read_text(encoding="utf-8")


def test_without_losses_there_is_no_gap_table(findings: Findings) -> None:
    names = ("train_loss", "dev_loss", "generalisation_gap")
    models = [
        replace(model, metrics={name: v for name, v in model.metrics.items() if name not in names})
        for model in findings.collected.models
    ]
    assert GAP.tables(find(replace(findings.collected, models=models)), "reviews") == []


# Augmented rows and features ------------------------------------------------------------------------------------------


def test_augmented_rows_are_counted_shortened_and_escaped(findings: Findings, page: str) -> None:
    (table,) = AUGMENTED.tables(findings, "reviews")
    assert table.caption == (
        "10 % of rows: 100 new rows; left out: 7 unchanged, 0 repeated, 2 that dev or validation holds, 3 nearly. "
        "100 % of rows: 1,000 new rows; left out: 7 unchanged, 0 repeated, 2 that dev or validation holds, 3 nearly."
    )
    first, second = table.rows
    assert first[0].text == "negative" and sorted(first[1].text.split()) == sorted(first[2].text.split())
    assert len(second[2].text) <= LONGEST and second[2].text.endswith("\u2026")
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page


def test_unlabelled_texts_have_nothing_before_them(tmp_path: Path) -> None:
    grid = {"tasks": ["reviews"], "methods": ["kd"], "augmentations": ["other"]}
    lent = {"other": {"kind": "unlabelled", "texts": ["topics"]}}
    plan, results = fabricate_results(tmp_path, overlay={"grid": grid, "augmentations": lent})
    (table,) = AUGMENTED.tables(find(collect(plan, results)), "reviews")
    assert [column.title for column in table.columns] == ["label", "text"]
    assert [len(row) for row in table.rows] == [2, 2]
    assert table.caption == "1,000 new rows; left out: 7 that the data set holds, 3 nearly, 0 repeated."


def test_features_are_shown_by_kind_and_label(findings: Findings) -> None:
    (plot,) = SECTION.plots(findings, "reviews")
    for name in ("original", "mixed", "eda", "negative", "positive"):
        assert f">{name}</text>" in plot.svg
    assert "40 original, 40 mixed, 40 eda" in plot.caption
    assert "Mixed samples are those of mild" in plot.caption
    assert "hold 75.0 % of the variance" in plot.caption


def test_features_of_a_regression_and_odd_names_are_drawn(findings: Findings) -> None:
    def drawn(labels: list[str], values: Any) -> str:
        (points,) = findings.collected.features
        points = replace(points, frame=points.frame.assign(label=values), values={**points.values, **TSNE})
        datasets = {"reviews": {**findings.collected.datasets["reviews"], "labels": labels}}
        collected = replace(findings.collected, features=[points], datasets=datasets)
        (plot,) = SECTION.plots(replace(findings, collected=collected), "reviews")
        assert "distances mean little" in plot.caption
        return plot.svg

    rows = len(findings.collected.features[0].frame)
    assert ">negative</text>" not in drawn([], [n / rows for n in range(rows)])
    named = drawn(["$x_$", "_hidden", *"abcdef"], [n % 8 for n in range(rows)])
    assert ">$x_$</text>" in named and "_hidden</text>" in named


@pytest.mark.parametrize("kind", ["augmented", "features"])
def test_damaged_rows_and_features_are_named(made: tuple[Plan, Path], tmp_path: Path, kind: str) -> None:
    plan, results = made
    shutil.copytree(results, tmp_path / "results")
    (path, *_) = sorted((tmp_path / "results" / kind).rglob("*.json"))
    assert read_json(path)
    path.write_text("{}")
    with pytest.raises(UserError, match=re.escape(str(path))):
        collect(plan, tmp_path / "results")


def test_the_report_asks_for_augmented_rows_and_features_only_where_there_are_any(
    made: tuple[Plan, Path], tmp_path: Path
) -> None:
    found = made[0].report.inputs
    assert [artefact.labels["fraction"] for artefact in listed(found["augmented"])] == FRACTIONS
    assert listed(found["features"]) == made[0].of("features")
    plain, _ = fabricate_results(tmp_path, overlay={"grid": {"tasks": ["reviews"], "seeds": [0]}})
    assert set(plain.report.inputs) == set(plain.report.recipe["inputs"]) == {"model", "export", "benchmark"}
