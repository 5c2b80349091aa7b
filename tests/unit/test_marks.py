"""Marked scores and fronts choose, so they go by dev; validation scores are shown only."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.conftest import ROOT

from distilgrid.plan.expand import Plan
from distilgrid.reporting import wording
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.plots import pareto, points, task_plots
from distilgrid.reporting.tables import main_table, paper_table
from distilgrid.tracking.cells import all_records


@pytest.fixture
def findings(fabricated: tuple[Plan, Path]) -> Findings:
    return find(collect(*fabricated))


def with_dev(findings: Findings, highest: tuple[str, str], metric: str) -> Findings:
    """The same validation scores; on dev, one method and student are the best, as models and as exports."""

    def changed(labels: Any, values: dict[str, Any]) -> dict[str, Any]:
        best = (labels["method"], labels["student"]) == highest
        return {**values, "dev": {**(values["dev"] or {}), metric: 0.99 if best else 0.5}}

    collected = findings.collected
    models = [replace(m, metrics=changed(m.artefact.labels, m.metrics)) for m in collected.models]
    exports = [replace(e, values=changed(e.artefact.labels, e.values)) for e in collected.exports]
    return find(replace(collected, models=models, exports=exports))


def test_marks_and_fronts_choose_on_dev(findings: Findings) -> None:
    """The lowest student on validation is the highest on dev, and the other way round."""
    students = [line for line in findings.of("reviews") if not line.is_teacher]
    lowest = min(students, key=lambda line: line.score)
    named = (lowest.labels["method"], lowest.name)
    changed = with_dev(findings, named, "accuracy")
    table = main_table(changed, "reviews")
    places = [n for n, column in enumerate(table.columns) if column.title.endswith("accuracy")]
    assert len(places) == 2, "torch's score and that of int8"
    for place in places:
        assert [(row[0].text, row[0].note) for row in table.rows if row[place].best] == [named]
    assert wording.MARKED in table.caption and wording.MARKED in paper_table(changed, "reviews").caption
    found = points(changed, "reviews")
    front = pareto(found)
    assert (front[-1].line.labels["method"], front[-1].line.name) == named
    fastest = min(point.latency_ms for point in found)
    for point in front:
        assert point.latency_ms == fastest or (point.line.labels["method"], point.line.name) == named
    assert "the Pareto front by dev" in task_plots(changed, "reviews")[0].caption
    for model in changed.collected.models:
        if (model.artefact.labels["method"], model.artefact.labels["student"]) == named:
            model.metrics["constant"] = True
    assert all((point.line.labels["method"], point.line.name) != named for point in pareto(found))


def test_the_link_into_mlflow_sorts_by_dev(fabricated: tuple[Plan, Path]) -> None:
    text = (ROOT / "docs/mlflow.md").read_text(encoding="utf-8")
    (key,) = re.findall(r"orderByKey=(\S+?)&", text)
    metric = unquote(key).removeprefix("metrics.").strip("`")
    (cell, *_) = all_records(*fabricated)
    assert metric in cell.metrics and metric.startswith("dev_best/")
