"""Tracking: a copy of finished cells in MLflow. The files stay the truth."""

from collections import Counter
from pathlib import Path
from typing import Any

from distilgrid.plan.expand import Plan
from distilgrid.tracking.cells import cell_records, grid_record
from distilgrid.tracking.searches import search_records


def default_uri(results: Path) -> str:
    """The default store of `distilgrid track`: a sqlite file in the results folder."""
    return f"sqlite:///{Path(results).resolve() / 'mlflow.db'}"


def track(*, plan: Plan, results: Path, uri: str) -> dict[str, Any]:
    """Bring the MLflow runs of a grid's finished cells up to date. A second call changes nothing.

    Each finished teacher, student and architecture search becomes a run below the run of the grid; trials are runs
    below their search. The call can be repeated after a crash, and started many times at once, even without a store.
    The URI is `sqlite:///<path>`, the address of a tracking server, or `postgresql://...`. The result has the name of
    the `grid`, and the numbers of `runs` and of those `created`, `updated` and `unchanged`.

    Raises:
        StoreDownError: when a server does not answer. The next call brings everything.
        UserError: when MLflow is not installed or refuses the store, or a cell's files are damaged.
    """
    cells, searches = list(cell_records(plan, Path(results))), list(search_records(plan, Path(results)))
    outcomes: Counter[str] = Counter()
    if cells:
        from distilgrid.tracking.store import open_store
        from distilgrid.tracking.upsert import upsert

        with open_store(uri, results=Path(results)) as store:
            outcomes = upsert(store, plan, grid=grid_record(plan, cells), records=[*cells, *searches])
    counts = {name: outcomes[name] for name in ("created", "updated", "unchanged")}
    return {"grid": plan.params.grid.name, "runs": len(cells) + len(searches), **counts}
