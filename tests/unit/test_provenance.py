"""A number on the page leads to the artefacts behind it: their folders exist, their commands are those of the plan."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.fabricate import fabricate_results, output
from tests.unit.made import report

from distilgrid.plan.expand import Plan
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import find
from distilgrid.reporting.tables import main_table
from distilgrid.stages.report.page import origins, publish


class Page(HTMLParser):
    """Numbers in tables with the anchor that each leads to, ids, and paths that links are made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.paths: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.anchors += [found["href"][1:]] if tag == "a" and found.get("href", "").startswith("#") else []
        self.paths += [found["href"]] if tag == "a" and found.get("href", "").startswith("..") else []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    plan, results = fabricate_results(tmp_path_factory.mktemp("provenance"))
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


@pytest.fixture(scope="module")
def page(made: tuple[Plan, Path]) -> Page:
    return Page(output(made, "report.html"))


def test_every_number_of_the_main_tables_leads_somewhere(made: tuple[Plan, Path], page: Page) -> None:
    findings = find(collect(*made))
    for task in findings.tasks:
        table = main_table(findings, task)
        numbers = sum(column.number for column in table.columns)
        for row in range(len(table.rows)):
            assert page.anchors.count(table.links[row]) >= numbers
    assert set(page.anchors) <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids), "each place has a name of its own"


def test_what_it_leads_to_exists(made: tuple[Plan, Path], page: Page) -> None:
    runs = {path for path in page.paths if path.endswith("run.json")}
    models = {f"../../{model.folder}/run.json" for model in [*made[0].teachers, *made[0].students]}
    assert models <= runs
    for path in runs:
        assert (made[1] / made[0].report.folder / path).is_file(), path


def test_links_of_the_published_copy_lead_to_the_same_files(made: tuple[Plan, Path]) -> None:
    copy = publish(plan=made[0], results=made[1])
    paths = [path for path in Page(copy.read_text(encoding="utf-8")).paths if path.endswith("run.json")]
    assert paths
    for path in paths:
        assert (copy.parent / path).is_file(), path


def test_its_commands_are_those_of_the_plan(made: tuple[Plan, Path]) -> None:
    text = html.unescape(output(made, "report.html"))
    shown = set(re.findall(r"<pre>(distilgrid .*?)</pre>", text))
    for model in [*made[0].teachers, *made[0].students]:
        assert f"distilgrid {model.stage} {model.arguments('results')}" in shown


def test_a_line_names_all_that_its_numbers_come_from(made: tuple[Plan, Path]) -> None:
    findings = find(collect(*made))
    for line in findings.lines:
        told = [artefact.folder for _, artefact in origins(findings, line)]
        assert [model.artefact.folder for model in line.models] == told[: len(line.models)]
        exports = [export.artefact.folder for found in line.exports.values() for export in found]
        assert set(exports) <= set(told)
        assert sum(folder.startswith("benchmarks/") for folder in told) == 1
