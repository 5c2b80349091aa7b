"""Students of several teachers in a report."""

import re
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fabricate import fabricate_results

from distilgrid.reporting.collect import Collected, collect
from distilgrid.reporting.findings import find
from distilgrid.reporting.tables import main_table, other_table, parity_table
from distilgrid.stages.report.page import origins, render


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """The same results, but the students of `kd` learned from both teachers."""
    root = tmp_path_factory.mktemp("teachers")
    source = f"path:{root / 'grid' / 'model'}"
    teachers = {"deep": {"source": source, "seed": 1, "note": "saw such texts before"}}
    grid = {"tasks": ["reviews"], "teachers": ["deep", "big"], "students": ["two"], "fractions": [0.5, 1.0]}
    found = collect(*fabricate_results(root / "grid", overlay={"grid": grid, "teachers": teachers}))
    params = found.plan.params
    wider = params.grid.model_copy(update={"teachers": ["deep", "big", ["deep", "big"]]})
    plan = replace(found.plan, params=params.model_copy(update={"grid": wider}))
    return replace(found, plan=plan, models=[joined(model) for model in found.models if not extra(model)])


def extra(model: Any) -> bool:
    labels = model.artefact.labels
    return labels["method"] == "kd" and labels["teacher"] == "big"


def joined(model: Any) -> Any:
    labels = model.artefact.labels
    if labels["method"] != "kd":
        return model
    return replace(model, artefact=replace(model.artefact, labels={**labels, "teacher": "deep+big"}))


def test_a_line_of_several_teachers_is_compared_with_the_first(collected: Collected) -> None:
    findings = find(collected)
    both = [line for line in findings.lines if line.labels["teacher"] == "deep+big"]
    assert len(both) == 2 and {line.labels["method"] for line in both} == {"kd"}
    assert {findings.teacher(line).labels["teacher"] for line in both} == {"deep"}
    assert all(line.speeds for line in both)
    order = [line.labels["teacher"] for line in findings.lines]
    assert order == sorted(order, key=["deep", "big", "deep+big"].index)
    (row,) = [row for row in main_table(findings, "reviews").rows if row[0].note.startswith("two (from deep+big, 50")]
    assert row[0].text == "kd"


def test_what_is_noted_of_a_teacher_stands_below_the_table_once(collected: Collected) -> None:
    caption = main_table(find(collected), "reviews").caption
    assert caption.count("deep: saw such texts before.") == 1 and "big:" not in caption


def test_what_is_noted_of_a_teacher_stands_below_all_tables_of_scores(collected: Collected) -> None:
    findings, said = find(collected), "deep: saw such texts before."
    other = other_table(findings, "reviews")
    assert other is not None and said in other.caption
    assert said in parity_table(findings).caption
    sections = re.split(r"<h2>|<details>", render(findings))
    shown = {section.partition("</")[0] for section in sections if said in section}
    assert {"reviews", "Other metrics and splits"} < shown
    assert any(name.startswith("<summary>Export parity") for name in shown)
    assert any(name.startswith("<summary>Provenance") for name in shown)


def test_the_page_shows_them_with_the_benchmarks_of_each_teacher(collected: Collected) -> None:
    findings = find(collected)
    page = render(findings)
    assert "deep+big" in page
    both = [line for line in findings.lines if line.labels["teacher"] == "deep+big"]
    assert both
    for line in both:
        assert sum(what.startswith("latencies") for what, _ in origins(findings, line)) == 2
