"""Costs of a grid: time, processor time, memory and energy of the artefacts behind its report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
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


def spending(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The costs of each stage, in the order of their first artefacts, and of all stages together.

    A value is None when no artefact recorded it. `known` is the number of artefacts that recorded more than their time,
    `metered` that of those that recorded their energy. `used` is processor time divided by time and threads.
    """
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
    return {"stages": spending(runs), "environment": environment}


def environment_texts(runs: Sequence[Run]) -> list[tuple[str, int]]:
    """The distinct machines, then the distinct sets of package versions, each with its number of artefacts."""
    counted = [Counter(_described(run[name]) for run in runs) for name in ("machine", "versions")]
    return [item for counts in counted for item in counts.items()]


def _described(values: Mapping[str, Any]) -> str:
    shown = {name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in values.items()}
    return f" {wording.DOT} ".join(f"{name} {v if isinstance(v, str) else json.dumps(v)}" for name, v in shown.items())


def _spent(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    known = [run for run in runs if "cost" in run]
    costs = [run["cost"] for run in known]
    energies = [sum(cost["energy_j"].values()) for cost in costs if cost["energy_j"]]
    available = sum(run["seconds"] * run["cost"]["threads"] for run in known)
    cpu_seconds = sum(cost["cpu_seconds"] for cost in costs)
    return {
        "name": name,
        "artefacts": len(runs),
        "known": len(known),
        "seconds": sum(run["seconds"] for run in runs),
        "cpu_seconds": cpu_seconds,
        "used": cpu_seconds / available if available else None,
        "peak_memory_mib": max((cost["peak_memory_mib"] for cost in costs), default=None),
        "energy_j": sum(energies) if energies else None,
        "metered": len(energies),
    }


def _row(spent: Mapping[str, Any]) -> list[Value]:
    partly, metered = (
        "" if spent[name] == spent["artefacts"] else f"of {spent[name]}" for name in ("known", "metered")
    )
    used, memory, energy = spent["used"], spent["peak_memory_mib"], spent["energy_j"]
    return [
        Value(spent["name"]),
        Value(f"{spent['artefacts']:,}"),
        Value(wording.duration(spent["seconds"])),
        Value(wording.duration(spent["cpu_seconds"]), partly) if spent["known"] else EMPTY,
        EMPTY if used is None else Value(wording.percent(used)),
        EMPTY if memory is None else Value(f"{memory:,.0f}"),
        EMPTY if energy is None else Value(f"{energy / 3600:,.1f}", metered),
    ]
