"""Report section on architecture searches: their cost, their results and the worth of their estimates."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from distilgrid.reporting import display, wording
from distilgrid.reporting.collect import Searched
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.searches import cost_minutes, searched
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.search.report.estimates import estimates_table
from distilgrid.search.report.plots import searches_plots


def searches_table(findings: Findings, task: str) -> Table | None:
    """A line for each search: trials, cost and best architecture; None without any search."""
    found = searched(findings, task)
    if not found:
        return None
    columns = [
        Column("search", number=False),
        Column("trials", "architectures"),
        Column("minutes", "of estimates"),
        Column("best reward"),
        Column("best architecture", "of the first seed", number=False),
        Column("latency", "ms"),
        Column("dev score", "as estimated"),
        Column("parameters", "of its layers"),
    ]
    scoring = findings.scoring(task)
    highest = max(_best_reward(runs) for runs in found.values())
    rows = [_row(name, runs, scoring, best=_best_reward(runs) == highest) for name, runs in found.items()]
    return Table(f"{task}: architecture search", _caption(found), columns, rows)


def _row(name: str, runs: Sequence[Searched], scoring: Scoring, *, best: bool) -> list[Value]:
    first = runs[0].best[0]
    tried = statistics.fmean(run.values["cost"]["architectures"] for run in runs)
    minutes = statistics.fmean(cost_minutes(run) for run in runs)
    rewards = [run.best[0]["reward"] for run in runs]
    spread = f"{wording.PLUS_MINUS} {statistics.stdev(rewards):.4f}, n={len(runs)}" if len(runs) > 1 else ""
    return [
        Value(name, runs[0].values["controller"]),
        Value(f"{len(runs[0].frame)}", f"{tried:.0f}"),
        Value(f"{minutes:.1f}"),
        Value(f"{statistics.fmean(rewards):.4f}", spread, best=best),
        Value(first["name"]),
        Value(wording.milliseconds(first["latency_ms"])),
        Value(scoring.score(first["score"])) if math.isfinite(first["score"]) else display.EMPTY,
        Value(wording.count(first["parameters"])),
    ]


def _best_reward(runs: Sequence[Searched]) -> float:
    return statistics.fmean(run.best[0]["reward"] for run in runs)


def _caption(found: dict[str, list[Searched]]) -> str:
    one = next(iter(found.values()))[0]
    teacher = wording.milliseconds(one.values["teacher"]["latency_ms"])
    return (
        f"Each search proposes as many candidates; one that it proposes again costs nothing. The space holds "
        f"{_size(one.values['space'])} architectures, the teacher takes {teacher} ms. Rewards are comparable "
        "between searches of the same reward only."
    )


def _size(space: Mapping[str, Any]) -> str:
    """Number of architectures of a space, or an upper bound."""
    return f"{'' if space['counted'] else 'up to '}{space['size']:,}"


class SearchSection(Section):
    """Results and costs of searches, and the worth of their estimates."""

    title = "Architecture search"

    def applies(self, findings: Findings, task: str) -> bool:
        """For tasks with searches."""
        return bool(searched(findings, task))

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """Searches, then estimates compared with full distillation."""
        tables = searches_table(findings, task), estimates_table(findings, task)
        return [table for table in tables if table]

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """Rewards over trials, trials against latency, architectures."""
        return searches_plots(findings, task)


SECTION = SearchSection()
