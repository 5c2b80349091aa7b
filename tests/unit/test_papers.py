"""A page for each paper: what all finished grids of it say together."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.relisted import rerecorded

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.plan.expand import Plan
from distilgrid.plan.params import Params
from distilgrid.reporting.claims.papers import comparisons, costs, paper_tables, papers, published, verdicts
from distilgrid.stages.report.page import publish_papers
from distilgrid.stages.table import STAGES

CLAIMS = {
    "paper": {"title": "Soft & warm: a paper", "year": 2021, "url": "https://example.org/paper"},
    "claims": [
        {"id": "kd-helps", "claim": "Soft labels help.", "source": "abstract", "certainty": "sourced"}
        | {"better": {"method": "kd"}, "worse": {"method": "finetune"}},
        {"id": "other", "claim": "Mixing helps.", "source": "abstract", "certainty": "recalled"}
        | {"better": {"method": "tmkd"}, "worse": {"method": "finetune"}},
    ],
    "joint": [
        {"id": "both", "claim": "Both help.", "source": "abstract", "certainty": "sourced", "of": ["kd-helps", "other"]}
    ],
    "published": "paper.expected.csv",
}
NOTE = "it saw such texts before"
NUMBERS = [
    {"model": "Big", "task": "reviews", "metric": "accuracy", "split": "test", "value": 91.5, "certainty": "sourced"}
    | {"source": "table 1", "method": "kd", "student": "two"},
    {"model": "Small", "task": "reviews", "metric": "accuracy", "split": "test", "value": 80.0, "certainty": "sourced"}
    | {"source": "table 1", "method": None, "student": None},
]


def with_claims(plan: Plan, file: Path, name: str) -> Plan:
    """A plan whose report judges the claims, under a name of its own."""
    settings = plan.params.report.model_copy(update={"claims": str(file)})
    grid = plan.params.grid.model_copy(update={"name": name})
    params: Params = plan.params.model_copy(update={"report": settings, "grid": grid})
    named = STAGES["report"].artefact(params, {}, dict(plan.report.inputs), place=name)
    return replace(plan, params=params, made={**plan.made, "report": [named]})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, undrawn: None) -> Path:
    """Two grids of one paper, with three seeds as comparisons need them to be clear; and a report without a paper."""
    root = tmp_path_factory.mktemp("papers")
    (root / "paper.claims.yaml").write_text(yaml.safe_dump(CLAIMS))
    pd.DataFrame(NUMBERS).to_csv(root / "paper.expected.csv", index=False)
    overlay = {"grid": {"seeds": [0, 1, 2]}, "teachers": {"big": {"note": NOTE}}}
    plan, results = fabricate_results(root / "grid", overlay=overlay)
    for name in ("first", "second"):
        own = with_claims(plan, root / "paper.claims.yaml", name)
        report(plan=own, results=results, out=results / own.report.folder)
    report(plan=plan, results=results, out=results / plan.report.folder)
    return results


def test_what_is_noted_of_a_teacher_stands_below_each_table_of_scores_once(results: Path) -> None:
    (paper,) = papers(results)
    tables = {table.name: table.caption for table in paper_tables(paper)}
    said = f"big: {NOTE}."
    assert {name: caption.count(said) for name, caption in tables.items()} == {
        "Claims": 1,
        "Published numbers and ours": 1,
        "Significance": 1,
        "Compute spent": 0,
    }
    (first, _) = paper.reports
    shown = (first.folder / "table.md").read_text().count(said)
    assert shown >= 3  # main table, claims, published numbers


def rows(table: Any) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_grids_stand_side_by_side(results: Path) -> None:
    (paper,) = papers(results)
    assert [each.grid for each in paper.reports] == ["first", "second"]
    assert paper.slug == "soft-warm-a-paper"
    claims = verdicts(paper)
    assert [column.title for column in claims.columns] == ["claim", "source", "first", "second"]
    assert rows(claims) == [
        ["kd-helps", "abstract", "confirmed", "confirmed"],
        ["other", "abstract", "not in this grid", "not in this grid"],
        ["both", "abstract", "not in this grid", "not in this grid"],
    ]
    judged = read_json(paper.reports[0].folder / "claims.json")["claims"][0]["results"][0]
    assert claims.rows[0][2].note.startswith(f"{judged['effect']:+.3g} points [{judged['low']:.3g},")


def test_ours_stand_beside_each_published_number(results: Path) -> None:
    (paper,) = papers(results)
    table = published(paper)
    scores = pd.read_csv(paper.reports[0].folder / "table.csv").query(
        "task == 'reviews' and method == 'kd' and student == 'two'"
    )
    ours = f"{100 * scores['score'].iloc[0]:.1f}"
    assert rows(table) == [
        ["reviews", "Big", "91.5", "table 1", ours, ours],
        ["reviews", "Small", "80", "table 1", "\u2013", "\u2013"],
    ]


def test_every_comparison_has_its_corrected_p_value(results: Path) -> None:
    (paper,) = papers(results)
    frame = paper.reports[0].table
    table = comparisons(paper)
    assert len(table.rows) == 2 * frame["difference"].notna().sum() == 8
    assert table.groups == {0, 4}
    corrected = frame["p_holm"].dropna()
    assert [row[-1].text for row in table.rows[:4]] == [f"{p:.3g}" for p in corrected]
    for row, p in zip(table.rows, corrected, strict=False):
        assert (row[4].tone != "") == (p <= 0.05)


def test_costs_are_those_of_all_jobs_behind_a_report(results: Path) -> None:
    (paper,) = papers(results)
    artefacts = read_json(paper.reports[0].folder / "compute.json")["stages"][-1]["artefacts"]
    runs = [
        path for path in results.rglob("run.json") if path.parts[-3:-2] != ("reports",) and "reports" not in path.parts
    ]
    assert artefacts == len(runs)
    assert rows(costs(paper))[0][:2] == ["first", str(artefacts)]


def test_the_page_opens_offline_and_leads_to_the_reports(results: Path) -> None:
    (page,) = publish_papers(results)
    text = page.read_text()
    assert page == results / "papers" / "soft-warm-a-paper.html"
    assert "<h1>Soft &amp; warm: a paper</h1>" in text and "<script" not in text
    links = re.findall(r'href="(\.\./reports/[^"]+)"', text)
    assert len(links) == 2 and all((page.parent / link).is_file() for link in links)


def test_of_a_grid_that_was_changed_the_newest_report_counts(results: Path, tmp_path: Path) -> None:
    copied = tmp_path / "results"
    shutil.copytree(results, copied)
    (first,) = copied.glob("reports/first-*")
    run = read_json(first / "run.json")
    recipe = {**run["recipe"], "grid": "as it was"}
    older = first.with_name(f"first-{recipe_key(recipe)}")
    shutil.copytree(first, older)
    changed = {"recipe": recipe, "key": recipe_key(recipe), "started": "2020-01-01T00:00:00+00:00"}
    rerecorded(older, **changed)
    (paper,) = papers(copied)
    assert paper.reports[0].folder.name == first.name


def test_without_a_paper_one_line_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no report of a paper; run a grid that names its claims"):
        papers(tmp_path)


def test_a_damaged_report_is_named(results: Path, tmp_path: Path) -> None:
    copied = tmp_path / "results"
    shutil.copytree(results, copied)
    (second,) = copied.glob("reports/second-*")
    (second / "table.csv").write_text("task\n")
    with pytest.raises(UserError, match=r"table.csv: content differs"):
        papers(copied)
