"""Captions: every table with intervals names their estimator and what they cover."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.test_searches_estimates import QUALITY, SCORES, line, run

from distilgrid.plan.expand import Plan
from distilgrid.reporting import wording
from distilgrid.reporting.claims.file import load_claims
from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.claims.papers import paper_tables, papers
from distilgrid.reporting.claims.tables import claims_tables
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.replication.looks import decide
from distilgrid.reporting.replication.requests import request
from distilgrid.reporting.replication.tables import decisions_table
from distilgrid.reporting.section import number_tables
from distilgrid.reporting.table import Table
from distilgrid.reporting.tables import data_table, main_table, other_table, paper_table, parity_table
from distilgrid.search.report import section

NUMBER = rf"[{wording.MINUS}+]?\d[\d.,e+-]*"
INTERVAL = re.compile(rf"\[{NUMBER},{wording.NO_BREAK}{NUMBER}\]")
RANKS = "Fieller et al. 1957"
ESTIMATORS = (wording.INTERVALS, RANKS)
SIDES = {"better": {"method": "kd"}, "worse": {"method": "finetune"}, "tasks": ["reviews"]}
SCORE = {**SIDES, "id": "score"}
GAP = {**SIDES, "id": "gap", "metric": "generalisation_gap", "unit": "nats", "direction": "lower"}
LATENCY = {**SIDES, "id": "speed", "metric": "latency.onnxruntime-fp32", "unit": "ms", "worse": {"method": "teacher"}}
NUMBERS = {"model": "Big", "task": "reviews", "metric": "accuracy", "split": "test", "value": 91.5, "source": "table 1"}


def grid(root: Path, *claims: dict[str, Any], added: bool) -> tuple[Plan, Path]:
    """A finished grid of three seeds whose report judges claims, and adds seeds for them."""
    said = {"claim": "It is so.", "source": "table 1", "certainty": "recalled"}
    paper = {"title": "A paper", "year": 2021, "url": "https://example.org"}
    values = {"paper": paper, "claims": [{**said, **claim} for claim in claims], "published": "p.expected.csv"}
    root.mkdir()
    (root / "p.claims.yaml").write_text(yaml.safe_dump(values))
    number = {**NUMBERS, "certainty": "sourced", "method": "kd", "student": "two"}
    pd.DataFrame([number]).to_csv(root / "p.expected.csv", index=False)
    more = {"task": "reviews", "teacher": "big", "method": "kd", "student": "two", "seeds": [3]}
    axes = {"methods": ["finetune", "kd"], "students": ["two"], "baselines": [], "seeds": [0, 1, 2]}
    axes["replications"] = [more, {**more, "method": "finetune"}] if added else []
    settings = {"claims": str(root / "p.claims.yaml"), "decide": {"max_seeds": 4}}
    made = fabricate_results(root / "made", overlay={"grid": axes, "report": settings}, losses=True)
    report(plan=made[0], results=made[1], out=made[1] / made[0].report.folder)
    return made


def tables(made: tuple[Plan, Path]) -> Iterator[Table]:
    """Every table of a report and of its paper's page."""
    findings, settings = find(collect(*made)), made[0].params.report
    for task in findings.tasks:
        yield from (main_table(findings, task), paper_table(findings, task))
        yield from filter(None, [other_table(findings, task)])
    yield from (*number_tables(findings), data_table(findings), parity_table(findings))
    assert settings.claims and settings.decide
    file = load_claims(settings.claims)
    yield from claims_tables(findings, file, judged=evaluate(findings, file))
    yield decisions_table(findings, file, request(findings, decide(findings, file, settings.decide), settings.decide))
    (paper,) = papers(made[1])
    yield from paper_tables(paper)


def has_intervals(table: Table) -> bool:
    return any(INTERVAL.search(text) for row in table.rows for value in row for text in (value.text, value.note))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, undrawn: None) -> tuple[Plan, Path]:
    return grid(tmp_path_factory.mktemp("captions") / "many", SCORE, GAP, LATENCY, added=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, undrawn: None) -> tuple[Plan, Path]:
    return grid(tmp_path_factory.mktemp("captions") / "plain", SCORE, added=False)


def test_every_caption_with_intervals_names_the_estimator(many: tuple[Plan, Path]) -> None:
    known = list(tables(many))
    found = [table for table in known if has_intervals(table)]
    assert {table.name for table in found} == {
        *("reviews", "topics", "Claims of A paper (2021)", "Claims, decided by more seeds", "Claims", "Significance")
    }
    for table in found:
        assert any(estimator in table.caption for estimator in ESTIMATORS), table.name
    assert [table.name for table in known if "CI" in str(table.columns) and table not in found] == []


def test_captions_of_claims_say_what_else_intervals_cover(many: tuple[Plan, Path], plain: tuple[Plan, Path]) -> None:
    for made, expected in ((many, True), (plain, False)):
        claimed = [table for table in tables(made) if table.name.startswith("Claims")]
        assert len(claimed) == 3
        for table in claimed:
            assert all((said in table.caption) == expected for said in wording.COVERED.values()), table.name
            assert wording.SEARCHES in table.caption


def test_grids_with_added_seeds_say_that_stars_do_not_heed_the_looks(
    many: tuple[Plan, Path], plain: tuple[Plan, Path]
) -> None:
    for made, expected in ((many, True), (plain, False)):
        findings = find(collect(*made))
        for table in (main_table(findings, "reviews"), paper_table(findings, "reviews")):
            assert (f"stars {wording.ONE_LOOK}" in table.caption) == expected
    significance = next(table for table in tables(many) if table.name == "Significance")
    assert f"colours {wording.ONE_LOOK}" in significance.caption


def test_rank_correlations_say_what_their_interval_covers(
    plain: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    findings: Findings = find(collect(*plain))
    made = run(len(QUALITY))
    labels = {"task": "reviews", "teacher": "big", "search": "nas", "seed": 0}
    findings.collected.searches.append(replace(made, artefact=replace(made.artefact, labels=labels)))
    made.values["estimator"] = "proxy"
    shared = {f"n{n}": line(score) for n, score in enumerate(SCORES)}
    monkeypatch.setattr(section, "distilled", lambda *_, **__: shared)
    table = section.estimates_table(findings, "reviews")
    assert table and has_intervals(table) and RANKS in table.caption
