"""Writing of records into MLflow. A changed run is written anew before the old one is deleted.

The tag with the fingerprint of a record is written last, so a run without it is incomplete. The run above the cells
is updated in place: it stays the same run while a grid grows. MLflow cannot keep runs unique, so `open_store` lets
writers take turns.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from distilgrid.plan.expand import Plan
from distilgrid.tracking.cells import TRIAL, grid_record
from distilgrid.tracking.datasets import as_inputs
from distilgrid.tracking.record import GRID, Record
from distilgrid.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OURS, FINGERPRINT = "distilgrid.", "distilgrid.fingerprint"
IN_PLAN, PARENT, NOTE = "in_plan", "mlflow.parentRunId", "mlflow.note.content"
NOT_THE_USERS = (OURS, "mlflow.", "export.", "benchmark")
"""Prefixes of tags that `track` or MLflow wrote."""
ABOUT = {
    "mlflow.experimentKind": "custom_model_development",
    NOTE: "One run per finished cell. To compare methods: Model training, top left; then group by the tag `recipe`.",
}
BATCH = 850  # metrics at a time: MLflow takes 1,000 values, of which up to 100 params and 100 tags


def upsert(store: Store, plan: Plan, records: Sequence[Record]) -> Counter[str]:
    """Make the grid's experiment hold one run for each record, below the run of the grid. Parents come first.

    The result has the numbers of records that are `created`, `updated` and `unchanged`.
    """
    writer, grid = _Writer(store.client, _experiment(store, plan)), grid_record(plan, records)
    ids, outcomes = {grid.place: writer.put(grid, {})[0]}, Counter[str]()
    for record in records:
        ids[record.place], outcome = writer.put(record, {PARENT: ids[record.above], IN_PLAN: "yes"})
        outcomes[outcome] += 1
    planned = {grid.place, *(model.folder for model in [*plan.teachers, *plan.students, *plan.of("search")])}
    for place, runs in writer.existing.items():
        if place.partition(f"/{TRIAL}-")[0] not in planned:  # they stay for comparison, but filters can skip them
            for run in runs:
                writer.tag(run, {IN_PLAN: "no"})
    return outcomes


class _Writer:
    """Writes the runs of an experiment."""

    def __init__(self, client: "MlflowClient", experiment: str) -> None:
        self.client, self.experiment = client, experiment
        self.existing = existing_runs(client, experiment)

    def put(self, record: Record, links: Mapping[str, str]) -> tuple[str, str]:
        """Bring the run of a record up to date, and return its id and the outcome."""
        runs = self.existing.get(record.place, [])
        kept = next((run for run in runs if run.data.tags.get(FINGERPRINT) == record.fingerprint), None)
        if not kept and record.place == GRID and runs:
            kept = runs[0]
            self._update(kept, record)
        run_id = kept.info.run_id if kept else self._create(record, {**_users_tags(runs), **links})
        for run in runs:
            if run is kept:
                self.tag(run, links)
            else:
                self.client.delete_run(run.info.run_id)
        return run_id, "unchanged" if kept else "updated" if runs else "created"

    def _create(self, record: Record, tags: Mapping[str, str]) -> str:
        from mlflow.entities import Metric, Param, RunTag

        client, given = self.client, {**tags, **record.tags, FINGERPRINT: ""}
        run_id: str = client.create_run(self.experiment, record.started, given, record.name).info.run_id
        client.set_terminated(run_id, "FINISHED", record.ended)
        if record.datasets:
            client.log_inputs(run_id, as_inputs(record.datasets))
        metrics = [Metric(name, value, record.ended, 0) for name, value in record.metrics.items()]
        metrics += [Metric(point.name, point.value, point.time, point.step) for point in record.curves]
        for start in range(BATCH, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        params = [Param(name, value) for name, value in record.params.items()]
        # MLflow writes the tags of a batch last, so the fingerprint vouches for the rest.
        client.log_batch(run_id, metrics[:BATCH], params, [RunTag(FINGERPRINT, record.fingerprint)])
        return run_id

    def _update(self, run: "Run", record: Record) -> None:
        """Change metrics, tags and the end of a run.

        MLflow shows the latest value, so a changed one is stamped now, or later if the clock was set back.
        """
        from mlflow.entities import Metric, RunTag

        run_id, now = run.info.run_id, round(time.time() * 1000)
        self.client.set_tag(run_id, FINGERPRINT, "")
        self.client.set_terminated(run_id, "FINISHED", record.ended)
        changed = {name: value for name, value in record.metrics.items() if run.data.metrics.get(name) != value}
        earlier = {name: self.client.get_metric_history(run_id, name) for name in changed}
        stamps = {name: max([now, *(point.timestamp + 1 for point in points)]) for name, points in earlier.items()}
        metrics = [Metric(name, value, stamps[name], 0) for name, value in changed.items()]
        tags = record.tags | {FINGERPRINT: record.fingerprint}
        self.client.log_batch(run_id, metrics, tags=[RunTag(name, value) for name, value in tags.items()])

    def tag(self, run: "Run", tags: Mapping[str, str]) -> None:
        """Set tags that a run lacks."""
        for name, value in tags.items():
            if run.data.tags.get(name) != value:
                self.client.set_tag(run.info.run_id, name, value)


def _users_tags(runs: "Iterable[Run]") -> dict[str, str]:
    """The description and the tags that a user gave to runs."""
    tags = (tag for run in runs for tag in run.data.tags.items())
    return {name: value for name, value in tags if name == NOTE or not name.startswith(NOT_THE_USERS)}


def _experiment(store: Store, plan: Plan) -> str:
    """The id of the grid's experiment, which is made or restored if needed."""
    name, client = experiment_name(plan), store.client
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name, store.artefacts.as_uri() if store.artefacts else None, tags=ABOUT)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def experiment_name(plan: Plan) -> str:
    """The name of a grid's experiment."""
    return f"distilgrid-{plan.params.grid.name}"


def existing_runs(client: "MlflowClient", experiment: str) -> dict[str, list["Run"]]:
    """Our runs of an experiment by the cell's folder, in the same order for every reader."""
    runs: dict[str, list[Run]] = {}
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], max_results=1000, page_token=token or None)
        for run in page:
            if any(name.startswith(OURS) for name in run.data.tags):
                runs.setdefault(run.data.tags["folder"], []).append(run)
        token = page.token or None
    return {place: sorted(found, key=lambda run: str(run.info.run_id)) for place, found in runs.items()}
