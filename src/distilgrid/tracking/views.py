"""What a user of the MLflow UI finds ready: a description of the experiment, and saved views that compare methods."""

import json
from typing import Any

from distilgrid.fingerprint import recipe_key
from distilgrid.grid import Plan
from distilgrid.tracking.measured import shape_name

VIEWS_TAG = "distilgrid.views"
COLUMNS = ("score", "score_vs_teacher", "score_int8", "parameters", "size_mb_int8", "train_seconds")


def describe(plan: Plan) -> dict[str, str]:
    """Tags of a new experiment: it is about models, not prompts, and what to look at first."""
    return {"mlflow.experimentKind": "custom_model_development"}


def saved_views(plan: Plan) -> tuple[dict[str, str], str]:
    """Tags that MLflow 3.17 shows under "Views", and their fingerprint.

    One view per task, one over all tasks: a row for each recipe with the mean over its seeds; and one of single runs.
    """
    current = "tags.in_plan = 'yes'"
    states = {"Methods on all tasks": _state(plan, current, ["task", "recipe"])}
    for task in plan.params.grid.tasks:
        states[f"Methods on {task}"] = _state(plan, f"{current} and tags.task = '{task}'", ["recipe"])
    states["Every run by score"] = _state(plan, current, [])
    key = recipe_key(states)
    return {f"mlflow.sharedViewState.distilgrid-{n}": _envelope(name, state) for n, (name, state) in enumerate(states.items())}, key


def _state(plan: Plan, search: str, groups: list[str]) -> dict[str, Any]:
    benchmark = plan.params.benchmark
    shape = shape_name(benchmark.runtimes[-1], benchmark.batch_sizes[-1], benchmark.lengths[-1])
    metrics = [*COLUMNS, f"latency_ms/{shape}", f"speedup/{shape}"]
    keys = [{"mode": "tag", "groupByData": tag} for tag in groups]
    return {
        "searchFilter": search,
        "orderByKey": "metrics.`score`",
        "orderByAsc": False,
        "selectedColumns": [f"metrics.`{name}`" for name in metrics],
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys} if groups else None,
        "runsHiddenMode": "SHOW_ALL",
    }


def _envelope(name: str, state: dict[str, Any]) -> str:
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})
