"""Writing records into MLflow: what is there already stays, what differs is changed in place, what broke is made again.

A run carries two fingerprints as tags: `distilgrid.trained` of what MLflow cannot change (params, curves, times), and
`distilgrid.fingerprint` of everything, which is written last: a run without it was cut short.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.grid import Plan
from distilgrid.tracking.record import Record
from distilgrid.tracking.searches import TRIAL
from distilgrid.tracking.views import ABOUT, VIEWS_TAG, saved_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FINGERPRINT, TRAINED, IN_PLAN = "distilgrid.fingerprint", "distilgrid.trained", "in_plan"
BATCH = 850  # metrics at a time: MLflow takes 1,000 values, of which up to 100 params and 100 tags


def upsert(
    client: "MlflowClient", plan: Plan, *, grid: Record, records: Sequence[Record], artefacts: Path | None
) -> Counter[str]:
    """Make the grid's experiment hold exactly one run per record and one above them; counts what happened to these.

    Args:
        client: of an open store.
        plan: the grid.
        grid: the record of the grid's own run.
        records: those of its finished cells, and of its searches, each before what it is above.
        artefacts: where MLflow may keep files of its own; None leaves that to the server.
    """
    experiment = _experiment(client, plan, artefacts)
    existing = _existing(client, experiment)
    ids = {grid.place: _put(client, experiment, grid, existing.get(grid.place, []), links={})[0]}
    outcomes: Counter[str] = Counter()
    for record in records:
        links = {"mlflow.parentRunId": ids[record.above], IN_PLAN: "yes"}
        ids[record.place], outcome = _put(client, experiment, record, existing.get(record.place, []), links=links)
        outcomes[outcome] += 1
    planned = {grid.place, *(made.folder for made in [*plan.teachers, *plan.students, *plan.searches])}
    left = (runs for place, runs in existing.items() if place.partition(f"/{TRIAL}-")[0] not in planned)
    _mark_left(client, (run for runs in left for run in runs))
    return outcomes


def _experiment(client: "MlflowClient", plan: Plan, artefacts: Path | None) -> str:
    """The id of the grid's experiment, made or brought back if need be, with its saved views."""
    name = f"distilgrid-{plan.params.grid.name}"
    views = saved_views(plan)
    found = client.get_experiment_by_name(name)
    if found is None:
        location = artefacts.as_uri() if artefacts else None
        return client.create_experiment(name, location, tags={**ABOUT, **views})
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found.tags.get(VIEWS_TAG) != views[VIEWS_TAG]:
        for tag, value in views.items():
            client.set_experiment_tag(found.experiment_id, tag, value)
    return str(found.experiment_id)


def _existing(client: "MlflowClient", experiment: str) -> dict[str, list["Run"]]:
    """The experiment's runs by the cell's folder; runs that somebody else put there are left alone."""
    runs: dict[str, list[Run]] = {}
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], max_results=1000, page_token=token or None)
        for run in page:
            if TRAINED in run.data.tags:
                runs.setdefault(run.data.tags["folder"], []).append(run)
        token = page.token or None
    return runs


def _put(
    client: "MlflowClient", experiment: str, record: Record, runs: Sequence["Run"], *, links: Mapping[str, str]
) -> tuple[str, str]:
    """Bring one record's run up to date; returns its id and what was done."""
    kept = next((run for run in runs if _can_stay(run, record)), None)
    for run in runs:
        if run is not kept:
            client.delete_run(run.info.run_id)
    if kept is None:
        return _create(client, experiment, record, links), "updated" if runs else "created"
    tags = _wanted_tags(record, links)
    if all(kept.data.tags.get(name) == value for name, value in tags.items()):
        return kept.info.run_id, "unchanged"
    _update(client, kept, record, tags)
    return kept.info.run_id, "updated"


def _can_stay(run: "Run", record: Record) -> bool:
    """Whether a run is whole and differs from its record only in what MLflow can change: it cannot drop metrics."""
    tags, wanted = run.data.tags, {*record.metrics, *(point.name for point in record.curves)}
    return FINGERPRINT in tags and tags.get(TRAINED) == record.trained and set(run.data.metrics) <= wanted


def _wanted_tags(record: Record, links: Mapping[str, str]) -> dict[str, str]:
    return {**record.tags, **links, TRAINED: record.trained, FINGERPRINT: record.fingerprint}


def _create(client: "MlflowClient", experiment: str, record: Record, links: Mapping[str, str]) -> str:
    from mlflow.entities import Metric, Param, RunTag

    tags = {**record.tags, **links, TRAINED: record.trained}
    run_id: str = client.create_run(experiment, record.started, tags, record.name).info.run_id
    client.set_terminated(run_id, "FINISHED", record.ended)
    metrics = [Metric(name, value, record.ended, 0) for name, value in record.metrics.items()]
    metrics += [Metric(point.name, point.value, point.time, point.step) for point in record.curves]
    for start in range(BATCH, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    params = [Param(name, value) for name, value in record.params.items()]
    # MLflow writes the tags of a batch last, so the fingerprint vouches for all that stands before it.
    client.log_batch(run_id, metrics[:BATCH], params, [RunTag(FINGERPRINT, record.fingerprint)])
    return run_id


def _update(client: "MlflowClient", run: "Run", record: Record, tags: Mapping[str, str]) -> None:
    """Change metrics and tags of a finished run. MLflow shows the latest value, so a changed one is stamped now, or
    later than those before it where the clock was set back."""
    from mlflow.entities import Metric, RunTag

    client.delete_tag(run.info.run_id, FINGERPRINT)
    now = round(time.time() * 1000)
    if run.info.end_time != record.ended:
        client.set_terminated(run.info.run_id, "FINISHED", record.ended)
    changed = {name: value for name, value in record.metrics.items() if run.data.metrics.get(name) != value}
    earlier = {name: client.get_metric_history(run.info.run_id, name) for name in changed}
    stamps = {name: max([now, *(point.timestamp + 1 for point in points)]) for name, points in earlier.items()}
    metrics = [Metric(name, value, stamps[name], 0) for name, value in changed.items()]
    client.log_batch(run.info.run_id, metrics, tags=[RunTag(name, value) for name, value in tags.items()])


def _mark_left(client: "MlflowClient", runs: Iterable["Run"]) -> None:
    """Tag the runs of cells that the grid no longer names: they stay for comparison, but filters can leave them out."""
    for run in runs:
        if run.data.tags.get(IN_PLAN) != "no":
            client.set_tag(run.info.run_id, IN_PLAN, "no")
