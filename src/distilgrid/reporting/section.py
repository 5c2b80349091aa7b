"""A section of a report: the tables and plots that a feature adds to each task."""

from collections.abc import Sequence

from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.table import Table


class Section:
    """Base class of sections.

    A feature defines a subclass in its own folder and names an instance, `package.module:NAME`, in
    `sections/table.py`. A method names its own by `sections()`.

    Attributes:
        title: the heading on the page.
        texts: whether tables hold long texts, which need line breaks.
        numbers: whether `table.md` and `table.tex` show the tables, too.
    """

    title: str = ""
    texts: bool = False
    numbers: bool = True

    def split(self, findings: Findings, task: str) -> "Sequence[Section]":
        """The sections with separate headings: one, unless a subclass says otherwise."""
        return (self,)

    def applies(self, findings: Findings, task: str) -> bool:
        """Whether the section has anything to show. Subclasses with plots override this, so that none is drawn."""
        return bool(self.tables(findings, task))

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """The tables of a task, which come first."""
        return []

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """The plots of a task."""
        return []
