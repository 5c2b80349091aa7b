"""Choosing a method's values among cells that tried them, by the score on `dev`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import read_json, trained_model
from distilgrid.core.errors import UserError
from distilgrid.methods.settings import KD, Method

SEARCHED = ("alpha", "temperature")


def search(method: Method, candidates: Sequence[Path], *, regression: bool) -> tuple[Method, dict[str, Any]]:
    """The method with the values of its best candidate, and what `metrics.json` says about the choice.

    Ties keep the earlier candidate. A method without a search is returned as it is.

    Args:
        method: as the cell has it.
        candidates: folders of the cells that tried the values.
        regression: whether the task is one.

    Raises:
        UserError: when a search has no candidates, or one that did not try any of its pairs.
    """
    if not isinstance(method, KD) or method.search is None:
        return method, {}
    planned = method.candidates("", regression=regression).values()
    wanted = [{name: getattr(tried, name) for name in SEARCHED} for tried in planned]
    if not candidates:
        raise UserError(f"the method searches {len(wanted)} pairs of values; give --candidate once for each cell")
    tried = []
    for folder in candidates:
        used = trained_model(folder)["recipe"].get("method", {})
        values = {name: used.get(name) for name in SEARCHED}
        if values not in wanted:
            raise UserError(f"{folder}: trained with {values}, which the search does not try; give its own candidates")
        metrics = read_json(folder / "metrics.json")
        tried.append({**values, "dev": metrics["dev"][metrics["score_name"]]})
    best = max(tried, key=lambda values: values["dev"])
    chosen = {name: best[name] for name in SEARCHED}
    return method.model_copy(update={**chosen, "search": None}), {"search": {"chosen": chosen, "tried": tried}}
