"""A copy of finished cells in MLflow; files stay the truth."""

from collections import Counter
from pathlib import Path
from typing import Any

from distilgrid.plan.expand import Plan
from distilgrid.tracking.cells import cell_records, grid_record
from distilgrid.tracking.searches import search_records


def default_uri(results: Path) -> str:
    """The store that `distilgrid track` writes unless told otherwise: one sqlite file in the results folder."""
    return f"sqlite:///{Path(results).resolve() / 'mlflow.db'}"


def track(*, plan: Plan, results: Path, uri: str) -> dict[str, Any]:
    """Bring the MLflow runs of a grid's finished cells up to date; a second call changes nothing.

    Each teacher and student whose artefact is complete becomes one run, nested under one run for the grid; so does each
    search of architectures, with its trials below it. Safe to
    repeat after a crash, and to start many times at once, even on a store that is not there yet.

    Args:
        plan: the grid.
        results: the results folder.
        uri: an MLflow tracking URI: `sqlite:///<path>`, the address of a tracking server, or `postgresql://...`.

    Returns:
        `grid`, and how many cells, searches and trials have `runs`, of which `created`, `updated` and `unchanged`.

    Raises:
        StoreDownError: when a server does not answer; the next call brings everything.
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
