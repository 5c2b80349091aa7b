"""The seeds that undecided claims ask for, within the hours that there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from distilgrid.plan.settings import Decide, Replication
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.replication.looks import Group, SequentialVerdict, group_key, ordered_seeds, own_seeds

HOUR = 3600.0
OUT_OF_HOURS = "report.decide.max_hours is spent"


@dataclass(frozen=True)
class Requested:
    """What the next round of a grid runs."""

    decisions: tuple[SequentialVerdict, ...]  # as given; those that the hours do not suffice for are stopped
    replications: tuple[Replication, ...]  # all of the next round, those that have been run included
    hours: float  # that the added jobs took until now
    more_hours: float  # that those of the next round are expected to take


def request(findings: Findings, decided: Sequence[SequentialVerdict], settings: Decide) -> Requested:
    """The replications of the next round, with those that the grid has for other cells.

    Claims are served in the order of their file. One whose seeds would take more than the hours left gets none; what a
    seed costs is the mean over those of the same line.
    """
    there = {group_key(group): group for decision in decided for group in decision.groups}
    spent = sum(_seconds(run) for group in there.values() for run in _added(findings, group)) / HOUR
    wanted: dict[tuple[Any, ...], int] = {}
    asked, more = [], 0.0
    for decision in decided:
        grown = {
            **wanted,
            **{group_key(g): max(decision.wanted or 0, wanted.get(group_key(g), 0)) for g in decision.groups},
        }
        hours = sum(_hours(findings, there[key], count) for key, count in grown.items())
        if decision.wanted is not None and spent + hours > settings.max_hours:
            asked.append(replace(decision, wanted=None, stopped=OUT_OF_HOURS))
            continue
        asked.append(decision)
        wanted, more = grown, hours
    found = [_replication(findings, group, wanted.get(key, 0)) for key, group in there.items()]
    kept = [each for each in findings.collected.plan.params.grid.replications if group_key(each) not in there]
    return Requested(tuple(asked), tuple(each for each in [*kept, *found] if each), spent, more)


def _missing(findings: Findings, group: Group, count: int) -> list[int]:
    """The seeds that a group lacks for `count` of them."""
    there = {run.seed for run in group.models}
    return [seed for seed in ordered_seeds(own_seeds(findings, group), count) if seed not in there]


def _added(findings: Findings, group: Group) -> Iterable[Any]:
    """The runs with other seeds than the group's own."""
    return (run for run in group.models if run.seed not in own_seeds(findings, group))


def _seconds(run: Any) -> float:
    return float(run.run["seconds"])


def _hours(findings: Findings, group: Group, count: int) -> float:
    """The expected hours until a group has `count` seeds."""
    return len(_missing(findings, group, count)) * fmean(_seconds(run) for run in group.models) / HOUR


def _replication(findings: Findings, group: Group, count: int) -> Replication | None:
    """The seeds that a group has beyond its own, with those of the next round."""
    seeds = [run.seed for run in _added(findings, group)] + _missing(findings, group, count)
    if not seeds:
        return None
    return Replication(**group.labels, seeds=sorted(seeds))
