"""Writing records into MLflow: what is there already stays, what differs is changed in place, what broke is made again.

A run carries two fingerprints as tags: `distilgrid.trained` of what MLflow cannot change (params, curves, times), and
`distilgrid.core.fingerprint` of everything, which is written last: a run without it is unfinished. `distilgrid.writer` says
who began to write it, and when.

MLflow has no unique runs. Writers of one name take turns (see `open_store`). Those that cannot, from other machines to
one server, are told apart by that tag; rounds go on until one changes nothing, and the last writer's finds all doubles.
"""

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from distilgrid.plan.expand import Plan
from distilgrid.tracking.datasets import as_inputs, logged
from distilgrid.tracking.record import Record
from distilgrid.tracking.searches import TRIAL
from distilgrid.tracking.store import Store
from distilgrid.tracking.views import ABOUT, VIEWS_TAG, saved_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FINGERPRINT, TRAINED, WRITER = "distilgrid.fingerprint", "distilgrid.trained", "distilgrid.writer"
IN_PLAN = "in_plan"
BATCH = 850  # metrics at a time: MLflow takes 1,000 values, of which up to 100 params and 100 tags
ROUNDS = 6
GIVEN_UP_SECONDS = 600
"""When an unfinished run of a writer on another machine counts as cut short: writing one takes seconds."""
OVERTAKEN = re.compile(
    r"must be in the 'active' state|UNIQUE constraint|[Dd]uplicate (key|entry)|deadlock|already exists"
)
"""What a store says to a writer when one that it does not take turns with was faster."""


def upsert(store: Store, plan: Plan, *, grid: Record, records: Sequence[Record]) -> Counter[str]:
    """Make the grid's experiment hold exactly one run per record and one above them; counts what happened to these.

    Args:
        store: open.
        plan: the grid.
        grid: the record of the grid's own run.
        records: those of its finished cells, and of its searches, each before what it is above.
    """
    from mlflow.exceptions import MlflowException

    first: Counter[str] | None = None
    for left in reversed(range(ROUNDS)):
        try:
            found = _Round(store, plan).put(grid, records)
        except MlflowException as error:
            if not left or not OVERTAKEN.search(str(error)):
                raise
            continue
        first = first or found
        if found.keys() <= {"unchanged"}:
            break
    return first or Counter()


class _Round:
    """One look at the experiment, and what follows from it."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self.client, self.plan, self.writer = store.client, plan, store.writer
        self.experiment = _experiment(store, plan)
        self.existing = existing_runs(store.client, self.experiment)

    def put(self, grid: Record, records: Sequence[Record]) -> Counter[str]:
        """Bring all runs up to date; counts what was done to those of the records."""
        ids = {grid.place: self._put(grid, links={})[0]}
        outcomes: Counter[str] = Counter()
        for record in records:
            links = {"mlflow.parentRunId": ids[record.above], IN_PLAN: "yes"}
            ids[record.place], outcome = self._put(record, links=links)
            outcomes[outcome] += 1
        planned = {grid.place, *(m.folder for m in [*self.plan.teachers, *self.plan.students, *self.plan.searches])}
        left = (runs for place, runs in self.existing.items() if place.partition(f"/{TRIAL}-")[0] not in planned)
        _mark_left(self.client, (run for runs in left for run in runs))
        return outcomes

    def _put(self, record: Record, *, links: Mapping[str, str]) -> tuple[str, str]:
        """Bring one record's run up to date; returns its id and what was done."""
        runs = [run for run in self.existing.get(record.place, []) if not self._is_anothers(run)]
        kept = next((run for run in runs if _can_stay(run, record)), None)
        for run in runs:
            if run is not kept:
                self.client.delete_run(run.info.run_id)
        if kept is None:
            return self._create(record, links), "updated" if runs else "created"
        tags = _wanted_tags(record, links)
        if all(kept.data.tags.get(name) == value for name, value in tags.items()):
            return kept.info.run_id, "unchanged"
        self._update(kept, record, tags)
        return kept.info.run_id, "updated"

    def _is_anothers(self, run: "Run") -> bool:
        """Whether somebody with whom this process does not take turns may be writing this run just now."""
        writer, _, began = run.data.tags.get(WRITER, "").rpartition(" ")
        if run.data.tags.get(FINGERPRINT) or not writer or writer == self.writer:
            return False
        return time.time() - float(began) < GIVEN_UP_SECONDS

    def _create(self, record: Record, links: Mapping[str, str]) -> str:
        from mlflow.entities import Metric, Param, RunTag

        client, tags = self.client, {**record.tags, **links, TRAINED: record.trained, **self._mark()}
        run_id: str = client.create_run(self.experiment, record.started, tags, record.name).info.run_id
        client.set_terminated(run_id, "FINISHED", record.ended)
        if record.datasets:
            client.log_inputs(run_id, as_inputs(record.datasets))
        metrics = [Metric(name, value, record.ended, 0) for name, value in record.metrics.items()]
        metrics += [Metric(point.name, point.value, point.time, point.step) for point in record.curves]
        for start in range(BATCH, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        params = [Param(name, value) for name, value in record.params.items()]
        # MLflow writes the tags of a batch last, so the fingerprint vouches for all that stands before it.
        client.log_batch(run_id, metrics[:BATCH], params, [RunTag(FINGERPRINT, record.fingerprint)])
        return run_id

    def _update(self, run: "Run", record: Record, tags: Mapping[str, str]) -> None:
        """Change metrics and tags of a finished run. MLflow shows the latest value, so a changed one is stamped now, or
        later than those before it where the clock was set back."""
        from mlflow.entities import Metric, RunTag

        run_id = run.info.run_id
        unfinished = self._mark() | {FINGERPRINT: ""}
        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in unfinished.items()])
        now = round(time.time() * 1000)
        if run.info.end_time != record.ended:
            self.client.set_terminated(run_id, "FINISHED", record.ended)
        if missing := [dataset for dataset in record.datasets if dataset.name_and_digest not in logged(run)]:
            self.client.log_inputs(run_id, as_inputs(missing))
        changed = {name: value for name, value in record.metrics.items() if run.data.metrics.get(name) != value}
        earlier = {name: self.client.get_metric_history(run_id, name) for name in changed}
        stamps = {name: max([now, *(point.timestamp + 1 for point in points)]) for name, points in earlier.items()}
        metrics = [Metric(name, value, stamps[name], 0) for name, value in changed.items()]
        self.client.log_batch(run_id, metrics, tags=[RunTag(name, value) for name, value in tags.items()])

    def _mark(self) -> dict[str, str]:
        """The tag of a run that is being written."""
        return {WRITER: f"{self.writer} {time.time():.0f}"}


def _experiment(store: Store, plan: Plan) -> str:
    """The id of the grid's experiment, made or brought back if need be, with its saved views."""
    name, client = experiment_name(plan), store.client
    views = saved_views(plan)
    found = client.get_experiment_by_name(name)
    if found is None:
        location = store.artefacts.as_uri() if store.artefacts else None
        return client.create_experiment(name, location, tags={**ABOUT, **views})
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found.tags.get(VIEWS_TAG) != views[VIEWS_TAG]:
        for tag, value in views.items():
            client.set_experiment_tag(found.experiment_id, tag, value)
    return str(found.experiment_id)


def experiment_name(plan: Plan) -> str:
    """What a grid's experiment is called."""
    return f"distilgrid-{plan.params.grid.name}"


def existing_runs(client: "MlflowClient", experiment: str) -> dict[str, list["Run"]]:
    """The experiment's runs by the cell's folder, each in the same order for every reader; runs that somebody else put
    there are left alone."""
    runs: dict[str, list[Run]] = {}
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], max_results=1000, page_token=token or None)
        for run in page:
            if TRAINED in run.data.tags:
                runs.setdefault(run.data.tags["folder"], []).append(run)
        token = page.token or None
    return {place: sorted(found, key=lambda run: str(run.info.run_id)) for place, found in runs.items()}


def _can_stay(run: "Run", record: Record) -> bool:
    """Whether a run is whole and differs from its record only in what MLflow can change: it cannot drop metrics or
    datasets."""
    tags, wanted = run.data.tags, {*record.metrics, *(point.name for point in record.curves)}
    if not tags.get(FINGERPRINT) or tags.get(TRAINED) != record.trained:
        return False
    return set(run.data.metrics) <= wanted and logged(run) <= {d.name_and_digest for d in record.datasets}


def _wanted_tags(record: Record, links: Mapping[str, str]) -> dict[str, str]:
    return {**record.tags, **links, TRAINED: record.trained, FINGERPRINT: record.fingerprint}


def _mark_left(client: "MlflowClient", runs: Iterable["Run"]) -> None:
    """Tag the runs of cells that the grid no longer names: they stay for comparison, but filters can leave them out."""
    for run in runs:
        if run.data.tags.get(IN_PLAN) != "no":
            client.set_tag(run.info.run_id, IN_PLAN, "no")
