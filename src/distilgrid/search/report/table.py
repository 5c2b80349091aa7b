"""Searches of architectures in a report: what each one cost and found."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.reporting import cells, wording
from distilgrid.reporting.collect import Searched
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.table import Cell, Column, Table

MINUTE = 60.0


@dataclass(frozen=True, eq=False)
class SearchLine:
    """A search as claims know it, with all its seeds.

    Attributes:
        labels: task, teacher, search.
        models: one run for each seed.
    """

    labels: Mapping[str, Any]
    models: tuple[Searched, ...]
    is_teacher: bool = False

    def values(self, metric: str) -> list[float]:
        """One of `claims_schema.OF_SEARCHES` for each seed: of what was kept first, or the minutes of its estimates."""
        if metric == "minutes":
            return [cost_minutes(run) for run in self.models]
        return [float(run.best[0][metric.removeprefix("best_")]) for run in self.models]


def search_lines(findings: Findings, task: str) -> list[SearchLine]:
    """The searches on a task, by teacher and name."""
    grouped: dict[tuple[str, str], list[Searched]] = {}
    for run in findings.collected.searches:
        labels = run.artefact.labels
        if labels["task"] == task:
            grouped.setdefault((labels["teacher"], labels["search"]), []).append(run)
    return [
        SearchLine({"task": task, "teacher": teacher, "search": search}, tuple(runs))
        for (teacher, search), runs in grouped.items()
    ]


def searched(findings: Findings, task: str) -> dict[str, list[Searched]]:
    """The searches on a task by name, one for each seed."""
    found: dict[str, list[Searched]] = {}
    for search in findings.collected.searches:
        if search.artefact.labels["task"] == task:
            found.setdefault(search.artefact.labels["search"], []).append(search)
    return found


def searches_table(findings: Findings, task: str) -> Table | None:
    """A line for each search: trials, their cost, and the best architecture of each seed; None without any."""
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
    highest = max(_best_reward(runs) for runs in found.values())
    rows = [_row(name, runs, best=_best_reward(runs) == highest) for name, runs in found.items()]
    return Table(f"{task}: architecture search", _caption(found), columns, rows)


def cost_minutes(search: Searched) -> float:
    """What a search's estimates cost, the training of a supernet included."""
    cost = search.values["cost"]
    return float(cost["estimates_seconds"] + cost["preparation_seconds"]) / MINUTE


def _row(name: str, runs: Sequence[Searched], *, best: bool) -> list[Cell]:
    first = runs[0].best[0]
    tried = statistics.fmean(run.values["cost"]["architectures"] for run in runs)
    minutes = statistics.fmean(cost_minutes(run) for run in runs)
    rewards = [run.best[0]["reward"] for run in runs]
    spread = f"{wording.PLUS_MINUS} {statistics.stdev(rewards):.4f}, n={len(runs)}" if len(runs) > 1 else ""
    return [
        Cell(name, runs[0].values["controller"]),
        Cell(f"{len(runs[0].frame)}", f"{tried:.0f}"),
        Cell(f"{minutes:.1f}"),
        Cell(f"{statistics.fmean(rewards):.4f}", spread, best=best),
        Cell(first["name"]),
        Cell(wording.milliseconds(first["latency_ms"])),
        Cell(wording.score(first["score"])) if math.isfinite(first["score"]) else cells.EMPTY,
        Cell(wording.count(first["parameters"])),
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
    """A space's number of architectures; an upper bound is called so."""
    return f"{'' if space['counted'] else 'up to '}{space['size']:,}"
