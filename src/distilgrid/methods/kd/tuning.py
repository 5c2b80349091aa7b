"""The choice of alpha and temperature among tried cells, by the score on `dev`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import read_json, trained_model
from distilgrid.core.errors import UserError
from distilgrid.methods.kd.declare import KD
from distilgrid.tasks.kind import TaskKind

TUNED = ("alpha", "temperature")


def tuned(method: KD, folders: Sequence[Path], *, kind: TaskKind) -> tuple[KD, dict[str, Any]]:
    """The method with the values of the best cell, and the record of the choice for `metrics.json`.

    Ties keep the earlier cell. A method without tuning stays the same. Raises UserError when there are no cells, or a
    cell tried none of the pairs.
    """
    if method.tuning is None:
        return method, {}
    wanted = [_values(planned.model_dump()) for planned in method.tried("", tempered=kind.tempered).values()]
    if not folders:
        raise UserError(f"the method's tuning tries {len(wanted)} pairs of values; give --tried once for each cell")
    tried: list[dict[str, Any]] = []
    merits: list[float] = []
    for folder in folders:
        values = _values(trained_model(folder)["recipe"].get("method", {}))
        if values not in wanted:
            raise UserError(f"{folder}: trained with {values}, which the tuning does not try; give its own cells")
        metrics = read_json(folder / "metrics.json")
        tried.append({**values, "dev": metrics["dev"][metrics["score_name"]]})
        merits.append(kind.metrics[metrics["score_name"]].merit(tried[-1]["dev"]))
    best = tried[merits.index(max(merits))]
    chosen = {name: best[name] for name in TUNED}
    return method.model_copy(update={**chosen, "tuning": None}), {"tuning": {"chosen": chosen, "tried": tried}}


def _values(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings.get(name) for name in TUNED}
