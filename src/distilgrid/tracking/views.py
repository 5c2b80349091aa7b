"""Saved views: what a user finds under "Views" in the MLflow UI, so that methods compare before any column is picked.

MLflow 3.17 keeps a saved view as a tag of the experiment: an envelope around the state of its runs page. A version that
does not understand the state says so when the view is opened; nothing else depends on it.
"""

import json
from typing import Any

from distilgrid.fingerprint import recipe_key
from distilgrid.grid import Plan
from distilgrid.tasks.spec import find_task
from distilgrid.tracking.measured import shape_name
from distilgrid.tracking.naming import recipe_names

VIEWS_TAG = "distilgrid.views"
ABOUT = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "One run per finished cell. To compare methods: Model training, top left; Views, top right.",
}
COLUMNS = ("score", "score_vs_teacher", "score_int8", "size_mb_int8", "train_seconds")
CURRENT = "tags.in_plan = 'yes'"
NAME_COLUMN = "attributes.`Run Name`"
MOST_TASKS = 30  # MLflow shows 40 views at most; some are left to the user


def saved_views(plan: Plan) -> dict[str, str]:
    """Tags of the experiment: a view for each task and one of their means, with a row per recipe; one of runs."""
    states = {
        f"Methods on {task}": _state(plan, f"{CURRENT} and tags.task = '{task}'", "recipe", _task_charts(plan, task))
        for task in plan.params.grid.tasks[:MOST_TASKS]
    }
    states["Methods, mean over tasks"] = _state(plan, CURRENT, "recipe", _charts(plan))
    states["Every run"] = _state(plan, CURRENT, None, _charts(plan))
    tags = {}
    for number, (name, state) in enumerate(states.items(), start=1):
        view = {"name": name, "createdAt": number, "updatedAt": number, "state": json.dumps(state)}
        tags[f"mlflow.sharedViewState.distilgrid-{number}"] = json.dumps(view)
    return {**tags, VIEWS_TAG: recipe_key(tags)}


def _state(plan: Plan, search: str, group_by: str | None, charts: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs page: what is searched, how grouped (means over each group), which columns and charts it shows."""
    columns = [f"metrics.`{name}`" for name in (*COLUMNS, _shape(plan, "latency_ms"), _shape(plan, "speedup"))]
    groups = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": group_by}]}
    section = {"uuid": "methods", "name": "Methods", "display": True, "isReordered": True}
    return {
        "searchFilter": search,
        "orderByKey": "metrics.`score`",
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": [NAME_COLUMN, *columns],
        "columnWidths": {NAME_COLUMN: 300, **dict.fromkeys(columns, 120)},
        "groupBy": groups if group_by else None,
        "groupsExpanded": {f"tag.recipe.{name}": False for name in recipe_names(plan)},
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "compareRunSections": [{**section, "deleted": False, "isGenerated": False}],
        "compareRunCharts": charts,
    }


def _shape(plan: Plan, measure: str) -> str:
    """The metric of the last runtime and the last shape of the protocol: int8 on the longest input, by default."""
    benchmark = plan.params.benchmark
    return f"{measure}/{shape_name(benchmark.runtimes[-1], benchmark.batch_sizes[-1], benchmark.lengths[-1])}"


def _charts(plan: Plan) -> list[dict[str, Any]]:
    """Charts to begin with; MLflow adds one for every other metric below them."""
    latency, score = ({"key": key, "type": "METRIC"} for key in (_shape(plan, "latency_ms"), "score"))
    return [
        _chart("score", "BAR", metricKey="score"),
        _chart("score-vs-teacher", "BAR", metricKey="score_vs_teacher"),
        _chart("score-by-latency", "SCATTER", xaxis=latency, yaxis=score),
    ]


def _task_charts(plan: Plan, task: str) -> list[dict[str, Any]]:
    """The same, and the curves of one task."""
    main = find_task(task, plan.params.tasks).metrics[0]
    return [*_charts(plan), _curve("dev", f"dev/{main}"), _curve("loss", "train/loss")]


def _curve(uuid: str, metric: str) -> dict[str, Any]:
    scales = {"xAxisKey": "step", "xAxisScaleType": "linear", "yAxisKey": "metric", "scaleType": "linear", "range": {}}
    shared = {"selectedXAxisMetricKey": "", "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
    plain = {"lineSmoothness": 0, "yAxisExpressions": [], "ignoreOutliers": False}
    return _chart(uuid, "LINE", metricKey=metric, selectedMetricKeys=[metric], **scales, **shared, **plain)


def _chart(uuid: str, kind: str, **settings: Any) -> dict[str, Any]:
    place = {"metricSectionId": "methods", "deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    return {"uuid": uuid, "type": kind, **place, **settings}
