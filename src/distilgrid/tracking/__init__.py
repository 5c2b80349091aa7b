"""Tracking: a copy of finished cells in MLflow. The files stay the truth. Light: no MLflow."""

import json
from pathlib import Path
from typing import Any

from distilgrid.plan.expand import Plan
from distilgrid.tracking.cells import all_records

SUMMARY, WAITING = "summary.json", "waiting"


def default_uri(results: Path) -> str:
    """The default store of `distilgrid track`: a sqlite file in the results folder."""
    return f"sqlite:///{Path(results).resolve() / 'mlflow.db'}"


def track(*, plan: Plan, results: Path, uri: str) -> dict[str, Any]:
    """Bring the MLflow runs of a grid's finished cells up to date. A second call changes nothing.

    Each finished teacher, student and architecture search becomes a run below the run of the grid; trials are runs
    below their search. The call can be repeated after a crash, and started many times at once, even without a store.
    The URI is `sqlite:///<path>`, the address of a tracking server, or `postgresql://...`. The result has the name of
    the `grid`, and the numbers of `runs` and of those `created`, `updated` and `unchanged`.

    Raises StoreDownError when a server does not answer: the next call brings everything. Raises UserError when MLflow
    is not installed or refuses the store, or a cell's files are damaged.
    """
    records, counts = all_records(plan, Path(results)), dict.fromkeys(("created", "updated", "unchanged"), 0)
    if records:
        from distilgrid.tracking.store import open_store
        from distilgrid.tracking.upsert import upsert

        with open_store(uri, results=Path(results)) as store:
            counts |= upsert(store, plan, records)
    return {"grid": plan.params.grid.name, "runs": len(records), **counts}


def forget_if_waiting(summary: Path) -> None:
    """Remove the summary of a call while the store was down, or a damaged one: the workflow tracks again."""
    try:
        waits = WAITING in json.loads(summary.read_text(encoding="utf-8"))
    except OSError:
        return
    except (ValueError, TypeError):
        waits = True
    if waits:
        summary.unlink(missing_ok=True)
