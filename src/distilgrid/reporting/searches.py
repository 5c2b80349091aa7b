"""Architecture searches by task and name, over all seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distilgrid.reporting.collect import Searched
from distilgrid.reporting.findings import Findings

MINUTE = 60.0


@dataclass(frozen=True, eq=False)
class SearchLine:
    """A search in claims: its task, teacher and name, and one run for each seed."""

    labels: Mapping[str, Any]
    models: tuple[Searched, ...]
    is_teacher: bool = False
    shares_streams: bool = False  # controllers of equal seeds draw unrelated numbers

    def values(self, metric: str) -> list[float]:
        """One of `claims.schema.OF_SEARCHES` for each seed."""
        if metric == "minutes":
            return [cost_minutes(run) for run in self.models]
        return [float(run.best[0][metric.removeprefix("best_")]) for run in self.models]


def search_lines(findings: Findings, task: str) -> list[SearchLine]:
    """The searches on a task, by teacher and name."""
    axes = ("task", "teacher", "search")
    grouped = _grouped(findings, task, *axes)
    return [SearchLine(dict(zip(axes, values, strict=True)), tuple(runs)) for values, runs in grouped.items()]


def searched(findings: Findings, task: str) -> dict[str, list[Searched]]:
    """The searches on a task by name, one for each seed."""
    return {name: runs for (name,), runs in _grouped(findings, task, "search").items()}


def _grouped(findings: Findings, task: str, *axes: str) -> dict[tuple[Any, ...], list[Searched]]:
    found: dict[tuple[Any, ...], list[Searched]] = {}
    for run in findings.collected.searches:
        labels = run.artefact.labels
        if labels["task"] == task:
            found.setdefault(tuple(labels[axis] for axis in axes), []).append(run)
    return found


def cost_minutes(search: Searched) -> float:
    """The minutes that a search's estimates took, including the training of a supernet."""
    cost = search.values["cost"]
    return float(cost["estimates_seconds"] + cost["preparation_seconds"]) / MINUTE
