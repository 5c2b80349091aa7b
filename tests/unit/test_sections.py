"""Sections: the table of strings, and one that a method brings."""

from pathlib import Path

import pytest
from tests.unit.fabricate import fabricate_results

from distilgrid.core.loading import load
from distilgrid.methods.kd.declare import KD
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.section import SECTIONS, Section, number_tables, task_sections
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.stages.report.page import render


class Brought(Section):
    """A section of somebody's method."""

    title = "Brought by a method"

    def applies(self, findings: Findings, task: str) -> bool:
        return task == "reviews"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        return [Table(f"{task}: brought", "", [Column("n")], [[Value("17")]])]


BROUGHT = Brought()


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    overlay = {"grid": {"students": ["two"], "seeds": [0]}}
    return find(collect(*fabricate_results(tmp_path_factory.mktemp("sections"), overlay=overlay)))


def test_every_name_of_the_table_is_a_section() -> None:
    loaded = [load(target) for target in SECTIONS]
    assert all(isinstance(section, Section) for section in loaded)
    assert len(set(map(id, loaded))) == len(SECTIONS)


def test_no_module_of_reporting_imports_a_feature() -> None:
    folder = Path(__file__).parents[2] / "src/distilgrid/reporting"
    features = ("distilgrid.methods", "distilgrid.search", "distilgrid.augmentation", "distilgrid.stages")
    for path in folder.rglob("*.py"):
        imports = [line for line in path.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("from ")]
        assert not [line for line in imports if line.split()[1].startswith(features)], path


def test_a_method_brings_a_section_without_a_change_to_reporting(
    findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [section.title for section in task_sections(findings, "reviews")]
    monkeypatch.setattr(KD, "sections", (f"{__name__}:BROUGHT", SECTIONS[0]))
    assert [section.title for section in task_sections(findings, "reviews")] == [*before, Brought.title]
    assert Brought.title not in {section.title for section in task_sections(findings, "topics")}
    assert [table.name for table in number_tables(findings)].count("reviews: brought") == 1
    page = render(findings)
    assert page.count(f"<h3>{Brought.title}</h3>") == 1 and ">17<" in page
