"""Choosing a method's values among cells that tried them, by the score on `dev`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import read_json, trained_model
from distilgrid.core.errors import UserError
from distilgrid.methods.settings import KD, Method
from distilgrid.tasks.kinds.kind import TaskKind

SEARCHED = ("alpha", "temperature")


def search(method: Method, candidates: Sequence[Path], *, kind: TaskKind) -> tuple[Method, dict[str, Any]]:
    """The method with the values of its best candidate, and what `metrics.json` says about the choice.

    Ties keep the earlier candidate. A method without a search is returned as it is.

    Args:
        method: as the cell has it.
        candidates: folders of the cells that tried the values.
        kind: of the task.

    Raises:
        UserError: when a search has no candidates, or one that did not try any of its pairs.
    """
    if not isinstance(method, KD) or method.search is None:
        return method, {}
    planned = method.candidates("", kind=kind).values()
    wanted = [{name: getattr(tried, name) for name in SEARCHED} for tried in planned]
    if not candidates:
        raise UserError(f"the method searches {len(wanted)} pairs of values; give --candidate once for each cell")
    tried: list[dict[str, Any]] = []
    merits: list[float] = []
    for folder in candidates:
        used = trained_model(folder)["recipe"].get("method", {})
        values = {name: used.get(name) for name in SEARCHED}
        if values not in wanted:
            raise UserError(f"{folder}: trained with {values}, which the search does not try; give its own candidates")
        metrics = read_json(folder / "metrics.json")
        main = kind.metrics[metrics["score_name"]]
        tried.append({**values, "dev": metrics["dev"][main.name]})
        merits.append(main.merit(metrics["dev"][main.name]))
    best = tried[merits.index(max(merits))]
    chosen = {name: best[name] for name in SEARCHED}
    return method.model_copy(update={**chosen, "search": None}), {"search": {"chosen": chosen, "tried": tried}}
