"""Saved views: what a user finds under "Views" in the MLflow UI, so that methods compare before any column is picked.

MLflow 3.17 keeps a saved view as a tag of the experiment: an envelope around the state of its runs page. A version that
does not understand the state says so when the view is opened; nothing else depends on it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.core.fingerprint import recipe_key
from distilgrid.plan.expand import Plan
from distilgrid.runtimes.base import IMAGE_LENGTH
from distilgrid.tasks.spec import find_task
from distilgrid.tracking.measured import shape_name
from distilgrid.tracking.naming import recipe_names

VIEWS_TAG = "distilgrid.views"
ABOUT = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "One run per finished cell. To compare methods: Model training, top left; Views, top right.",
}
COLUMNS = ("score", "score_vs_teacher", "score_int8", "size_mb_int8", "train_seconds")
QUANTISED = "int8"
CURRENT = "tags.in_plan = 'yes' and tags.recipe LIKE '%'"
"""Cells of the present grid: searches and their trials are runs, too, but of no recipe."""
NAME_COLUMN = "attributes.`Run Name`"
MOST_TASKS = 30  # MLflow shows 40 views at most; some are left to the user


def saved_views(plan: Plan) -> dict[str, str]:
    """Tags of the experiment: a view for each task and one of their means, with a row per recipe; one of runs."""
    every = _Shown(plan, plan.params.grid.tasks)
    states = {}
    for task in plan.params.grid.tasks[:MOST_TASKS]:
        shown, search = _Shown(plan, [task]), f"{CURRENT} and tags.task = '{task}'"
        states[f"Methods on {task}"] = _state(shown, search, "recipe", _task_charts(shown, task))
    states["Methods, mean over tasks"] = _state(every, CURRENT, "recipe", _charts(every))
    states["Every run"] = _state(every, CURRENT, None, _charts(every))
    tags = {}
    for number, (name, state) in enumerate(states.items(), start=1):
        view = {"name": name, "createdAt": number, "updatedAt": number, "state": json.dumps(state)}
        tags[f"mlflow.sharedViewState.distilgrid-{number}"] = json.dumps(view)
    return {**tags, VIEWS_TAG: recipe_key(tags)}


@dataclass(frozen=True)
class _Shown:
    """The tasks of a view, and the metrics that they have."""

    plan: Plan
    tasks: Sequence[str]

    @property
    def images(self) -> bool:
        """Whether no task is made of texts: models of images are not quantised."""
        return not any(find_task(task, self.plan.params.tasks).task_kind.tokenised for task in self.tasks)

    def columns(self) -> list[str]:
        """The metrics that a table shows."""
        names = [name for name in COLUMNS if not (self.images and name.endswith(QUANTISED))]
        return [*names, self.shape("latency_ms"), self.shape("speedup")]

    def shape(self, measure: str) -> str:
        """The metric of the last runtime and the last shape of the protocol: int8 on the longest input, by default."""
        benchmark = self.plan.params.benchmark
        runtimes, length = benchmark.runtimes, benchmark.lengths[-1]
        if self.images:
            runtimes = [name for name in runtimes if not name.endswith(QUANTISED)] or runtimes
            length = IMAGE_LENGTH
        return f"{measure}/{shape_name(runtimes[-1], benchmark.batch_sizes[-1], length)}"


def _state(shown: _Shown, search: str, group_by: str | None, charts: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs page: what is searched, how grouped (means over each group), which columns and charts it shows."""
    columns = [f"metrics.`{name}`" for name in shown.columns()]
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
        "groupsExpanded": {f"tag.recipe.{name}": False for name in recipe_names(shown.plan)},
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "compareRunSections": [{**section, "deleted": False, "isGenerated": False}],
        "compareRunCharts": charts,
    }


def _charts(shown: _Shown) -> list[dict[str, Any]]:
    """Charts to begin with; MLflow adds one for every other metric below them."""
    latency, score = ({"key": key, "type": "METRIC"} for key in (shown.shape("latency_ms"), "score"))
    return [
        _chart("score", "BAR", metricKey="score"),
        _chart("score-vs-teacher", "BAR", metricKey="score_vs_teacher"),
        _chart("score-by-latency", "SCATTER", xaxis=latency, yaxis=score),
    ]


def _task_charts(shown: _Shown, task: str) -> list[dict[str, Any]]:
    """The same, and the curves of one task."""
    main = find_task(task, shown.plan.params.tasks).metrics[0]
    return [*_charts(shown), _curve("dev", f"dev/{main}"), _curve("loss", "train/loss")]


def _curve(uuid: str, metric: str) -> dict[str, Any]:
    scales = {"xAxisKey": "step", "xAxisScaleType": "linear", "yAxisKey": "metric", "scaleType": "linear", "range": {}}
    shared = {"selectedXAxisMetricKey": "", "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
    plain = {"lineSmoothness": 0, "yAxisExpressions": [], "ignoreOutliers": False}
    return _chart(uuid, "LINE", metricKey=metric, selectedMetricKeys=[metric], **scales, **shared, **plain)


def _chart(uuid: str, kind: str, **settings: Any) -> dict[str, Any]:
    place = {"metricSectionId": "methods", "deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    return {"uuid": uuid, "type": kind, **place, **settings}
