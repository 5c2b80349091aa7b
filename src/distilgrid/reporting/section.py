"""Sections of a report: tables and plots that a feature adds to each task, and the table of all sections."""

from collections.abc import Sequence

from distilgrid.core.loading import load
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.table import Table


class Section:
    """Base class of sections.

    A feature defines a subclass in its own folder and names an instance, `package.module:NAME`, in
    `SECTIONS`. A method names its own by `sections`.
    """

    title: str = ""  # the heading on the page
    texts: bool = False  # whether tables hold long texts, which need line breaks
    numbers: bool = True  # whether `table.md` and `table.tex` show the tables, too
    # for a method's section, the name of the section that follows it on the page; None puts it last
    before: str | None = None

    def split(self, findings: Findings, task: str) -> "Sequence[Section]":
        """The parts with separate headings. By default, the section is its only part."""
        return (self,)

    def applies(self, findings: Findings, task: str) -> bool:
        """Whether the section shows anything. Subclasses with plots override this, so that no plot is drawn in vain."""
        return bool(self.tables(findings, task))

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """The tables of a task. They stand above the plots."""
        return []

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """The plots of a task."""
        return []


SECTIONS = (
    "distilgrid.reporting.sections:LIMITED_DATA",
    "distilgrid.reporting.sections:ABLATIONS",
    "distilgrid.reporting.sections:SELECTION",
    "distilgrid.search.report.section:SECTION",
    "distilgrid.benchmark.report:SECTION",
    "distilgrid.methods.mixkd.report:SECTION",  # every method's models may have the losses that it shows
    "distilgrid.stages.features.plot:SECTION",
    "distilgrid.augmentation.report:SECTION",
)
"""Sections in the order of the page. Their strings keep reporting from importing features."""


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
    parts = [part for target in section_targets(findings) for part in load(target).split(findings, task)]
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
