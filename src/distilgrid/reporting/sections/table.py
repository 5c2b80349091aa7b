"""The table of sections, in the order of the page. Strings, so that reporting imports no feature."""

from distilgrid.core.loading import load
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Table

SECTIONS = (
    "distilgrid.reporting.sections.limited_data:SECTION",
    "distilgrid.reporting.sections.ablation_views:SECTION",
    "distilgrid.methods.annealing_kd.report:SECTION",
    "distilgrid.reporting.sections.selection:SECTION",
    "distilgrid.methods.kd.report:SECTION",
    "distilgrid.search.report.section:SECTION",
    "distilgrid.benchmark.report:SECTION",
    "distilgrid.methods.mixkd.report:SECTION",
    "distilgrid.stages.features.plot:SECTION",
    "distilgrid.augmentation.report:SECTION",
)


def section_targets(findings: Findings) -> list[str]:
    """The names of all sections: those of the table, then others that the grid's methods bring."""
    params = findings.collected.plan.params
    methods = [params.methods[name] for name in params.grid.methods]
    brought = [target for method in methods for target in getattr(method, "sections", tuple)()]
    return list(dict.fromkeys([*SECTIONS, *brought]))


def task_sections(findings: Findings, task: str) -> list[Section]:
    """The sections that have anything to show of a task, in the order of the page."""
    named: list[Section] = [load(target) for target in section_targets(findings)]
    parts = [part for section in named for part in section.split(findings, task)]
    return [part for part in parts if part.applies(findings, task)]


def number_tables(findings: Findings) -> list[Table]:
    """The tables of numbers, for files that hold tables only."""
    return [
        table
        for task in findings.tasks
        for section in task_sections(findings, task)
        if section.numbers
        for table in section.tables(findings, task)
    ]
