"""Sections of a report: tables and plots that a feature adds to each task."""

from collections.abc import Sequence

from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.table import Table


class Section:
    """Base class of sections.

    A feature defines a subclass in its own folder and names an instance, `package.module:NAME`, in
    `sections/table.py`. A method names its own by `sections`.
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
