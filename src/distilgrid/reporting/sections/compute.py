"""Costs of a grid: time, processor time, memory and energy of the artefacts behind its report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distilgrid.reporting import wording
from distilgrid.reporting.display import EMPTY
from distilgrid.reporting.table import Column, Table, Value

Run = Mapping[str, Any]
TITLES = ("artefacts", "time", "processor time", "processor used", "peak memory, MiB", "energy, Wh")
CAPTION = (
    "Times of jobs, added up: those side by side count each. Processor used: processor time by time and threads. "
    "Energy: of the processor, by a job's share of its machine's work, and of its GPUs, where they have counters. "
    "A job that was killed counts from where it went on."
)


@dataclass(frozen=True)
class Spent:
    """Costs of the artefacts of a stage, or of all. A value is None when no artefact recorded it."""

    name: str  # the stage, or `all`
    artefacts: int  # number of artefacts
    known: int  # number of artefacts that recorded more than their time
    seconds: float  # sum of the times
    cpu_seconds: float  # sum of the known processor times
    used: float | None  # processor time divided by time and threads, between 0 and 1
    peak_memory_mib: float | None  # the largest peak
    energy_j: float | None  # sum of the known energies
    metered: int  # number of artefacts that recorded their energy


def spending(runs: Sequence[Run]) -> list[Spent]:
    """The costs of each stage, in the order of their first artefacts, and of all stages together."""
    stages: dict[str, list[Run]] = {}
    for run in runs:
        stages.setdefault(run["stage"], []).append(run)
    return [_spent(name, group) for name, group in [*stages.items(), ("all", runs)]]


def compute_table(runs: Sequence[Run]) -> Table:
    """The costs of each stage and of all stages."""
    rows = [_row(stage) for stage in spending(runs)]
    columns = [Column("stage", number=False), *map(Column, TITLES)]
    return Table("Compute", CAPTION, columns, rows, {len(rows) - 1})


def compute_json(runs: Sequence[Run]) -> dict[str, Any]:
    """The costs as plain values, with the number of artefacts of each machine and each set of package versions."""
    environment = [{"text": text, "artefacts": count} for text, count in environment_texts(runs)]
    return {"stages": [asdict(stage) for stage in spending(runs)], "environment": environment}


def environment_texts(runs: Sequence[Run]) -> list[tuple[str, int]]:
    """The distinct machines, then the distinct sets of package versions, each with its number of artefacts."""
    counted = [Counter(_described(run[name]) for run in runs) for name in ("machine", "versions")]
    return [item for counts in counted for item in counts.items()]


def _described(values: Mapping[str, Any]) -> str:
    shown = {name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in values.items()}
    return f" {wording.DOT} ".join(f"{name} {v if isinstance(v, str) else json.dumps(v)}" for name, v in shown.items())


def _spent(name: str, runs: Sequence[Run]) -> Spent:
    known = [run for run in runs if "cost" in run]
    costs = [run["cost"] for run in known]
    energies = [sum(cost["energy_j"].values()) for cost in costs if cost["energy_j"]]
    available = sum(run["seconds"] * run["cost"]["threads"] for run in known)
    cpu_seconds = sum(cost["cpu_seconds"] for cost in costs)
    return Spent(
        name=name,
        artefacts=len(runs),
        known=len(known),
        seconds=sum(run["seconds"] for run in runs),
        cpu_seconds=cpu_seconds,
        used=cpu_seconds / available if available else None,
        peak_memory_mib=max((cost["peak_memory_mib"] for cost in costs), default=None),
        energy_j=sum(energies) if energies else None,
        metered=len(energies),
    )


def _row(spent: Spent) -> list[Value]:
    partly = "" if spent.known == spent.artefacts else f"of {spent.known}"
    metered = "" if spent.metered == spent.artefacts else f"of {spent.metered}"
    return [
        Value(spent.name),
        Value(f"{spent.artefacts:,}"),
        Value(wording.duration(spent.seconds)),
        _maybe(wording.duration(spent.cpu_seconds) if spent.known else None, partly),
        _maybe(None if spent.used is None else wording.percent(spent.used), ""),
        _maybe(None if spent.peak_memory_mib is None else f"{spent.peak_memory_mib:,.0f}", ""),
        _maybe(None if spent.energy_j is None else f"{spent.energy_j / 3600:,.1f}", metered),
    ]


def _maybe(text: str | None, note: str) -> Value:
    return EMPTY if text is None else Value(text, note)
