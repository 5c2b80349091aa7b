"""The section of a report about architecture searches."""

from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.searches import searched
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Table
from distilgrid.search.report.estimates import estimates_table
from distilgrid.search.report.plots import searches_plots
from distilgrid.search.report.table import searches_table


class SearchSection(Section):
    """What searches found and cost, and what their estimates are worth."""

    title = "Architecture search"

    def applies(self, findings: Findings, task: str) -> bool:
        """For tasks with searches."""
        return bool(searched(findings, task))

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """Searches, then estimates compared with full distillation."""
        found = searches_table(findings, task), estimates_table(findings, task)
        return [table for table in found if table]

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """Rewards over trials, trials against latency, architectures."""
        return searches_plots(findings, task)


SECTION = SearchSection()
