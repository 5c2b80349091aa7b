"""The table of sections, in the order of the page. Its strings keep reporting from importing features."""

from distilgrid.core.loading import load
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Table

SECTIONS = (
    "distilgrid.reporting.sections.limited_data:SECTION",
    "distilgrid.reporting.sections.ablation_views:SECTION",
    "distilgrid.reporting.sections.selection:SECTION",
    "distilgrid.search.report.section:SECTION",
    "distilgrid.benchmark.report:SECTION",
    "distilgrid.methods.mixkd.report:SECTION",  # every method's models may have the losses that it shows
    "distilgrid.stages.features.plot:SECTION",
    "distilgrid.augmentation.report:SECTION",
)


def section_targets(findings: Findings) -> list[str]:
    """The names of all sections: those of the table, and those of the grid's methods at the places they ask for."""
    params, targets = findings.collected.plan.params, list(SECTIONS)
    for target in (target for name in params.grid.methods for target in params.methods[name].sections):
        if target not in targets:
            before = load(target).before
            targets.insert(targets.index(before) if before in targets else len(targets), target)
    return targets


def task_sections(findings: Findings, task: str) -> list[Section]:
    """The sections that show anything of a task, in the order of the page."""
    named: list[Section] = [load(target) for target in section_targets(findings)]
    parts = [part for section in named for part in section.split(findings, task)]
    return [part for part in parts if part.applies(findings, task)]


def number_tables(findings: Findings) -> list[Table]:
    """The tables of numbers, for `table.md` and `table.tex`."""
    return [
        table
        for task in findings.tasks
        for section in task_sections(findings, task)
        if section.numbers
        for table in section.tables(findings, task)
    ]
