"""Registration of chosen cells in MLflow's model registry, once each, with tags that lead to their files."""

import logging
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import content_digest
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.finished import is_made, open_finished, open_trained
from distilgrid.core.markdown import plain
from distilgrid.core.planned import Artefact
from distilgrid.core.sums import check_sums
from distilgrid.plan.expand import Plan
from distilgrid.plan.names import task_named
from distilgrid.reporting.collect import run_it
from distilgrid.reporting.learned import chance, learned_nothing
from distilgrid.reporting.lines import dev_score
from distilgrid.reporting.scoring import scoring
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tracking.cells import all_records
from distilgrid.tracking.packaging import PackagedCell, package
from distilgrid.tracking.record import NOTED, axes, cell_tags, recipe_name
from distilgrid.tracking.store import Store, open_store
from distilgrid.tracking.upsert import existing_runs, experiment_name, upsert

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CONTENT = "distilgrid.content"
"""The tag that identifies one training of a cell."""


@dataclass(frozen=True)
class Registered:
    """A version of a model in the registry, with the folder of its cell. `new` tells whether this call made it."""

    name: str
    version: str
    new: bool
    cell: str

    @property
    def uri(self) -> str:
        """The argument of `mlflow.pyfunc.load_model`."""
        return f"models:/{self.name}/{self.version}"


def cell_in(plan: Plan, results: Path, folder: Path) -> Artefact:
    """The finished cell in a folder. Raises UserError when it holds no finished teacher or student of the grid."""
    for model in [*plan.teachers, *plan.students]:
        if (results / model.folder).resolve() == folder.resolve():
            if is_made(results / model.folder):
                return model
            raise UserError(f"{results / model.folder}: not finished; run its grid first")
    raise UserError(
        f"--cell: {folder} is no teacher or student of the grid '{plan.params.grid.name}'; name its grid with --grid, "
        "or take a folder that `distilgrid plan` lists"
    )


def best_cell(plan: Plan, results: Path, *, task: str | None, wanted: Mapping[str, Any]) -> Artefact:
    """The best seed on dev of the recipe with the best mean score on dev, among finished seeds that learned something.

    `wanted` has values of `method`, `student` and `seed`, where None takes any. A grid with one task needs no `task`.

    Raises UserError when the task is not clear, a value is unknown, no cell is finished, or none learned anything.
    """
    if not any(is_made(results / student.folder) for student in plan.students):
        raise UserError(f"no student of grid '{plan.params.grid.name}' is finished in {results}; {run_it(results)}")
    asked = {"task": task_named(plan.params, task)} | {k: v for k, v in wanted.items() if v is not None}
    fitting = plan.students
    for axis, value in asked.items():
        known = {str(student.labels[axis]) for student in fitting}
        if str(value) not in known:
            raise UserError(f"--{axis}: the grid has no such student '{value}'; {did_you_mean(str(value), known)}")
        fitting = [student for student in fitting if str(student.labels[axis]) == str(value)]
    recipes: dict[str, list[tuple[float, Artefact]]] = {}
    finished = [student for student in fitting if is_made(results / student.folder)]
    if not finished:
        raise UserError(f"no student of '{asked['task']}' is finished in {results}; run the grid to its end")
    data = open_finished(results / plan.data[asked["task"]].folder, stage="prepare", only=())
    dataset = data.json("dataset.json")
    for student in finished:
        metrics = open_finished(results / student.folder, stage=student.stage, only=()).json("metrics.json")
        why = learned_nothing(metrics, chance=chance(dataset, metrics["score_name"]))
        if not why:
            merit = scoring(metrics["score_name"]).merit(dev_score(metrics))
            recipes.setdefault(recipe_name(plan, axes(student)), []).append((merit, student))
    if not recipes:
        raise UserError(f"no student of '{asked['task']}' can be registered: of the last one, {why}; train for longer")
    best = max(recipes.values(), key=lambda found: statistics.fmean(merit for merit, _ in found))
    return max(best, key=lambda found: found[0])[1]  # of equal seeds the first


def register(*, plan: Plan, results: Path, cell: Artefact, uri: str, name: str | None = None) -> Registered:
    """Register a finished cell, after tracking its grid: a version belongs to a run.

    A version with the same training of the cell is found again, and checked, instead of made twice. By default, the
    model's name is `distilgrid-<task>`, so that the versions of a task compare.

    Raises StoreDownError when a server does not answer. Raises UserError when the store or the name is refused, or a
    file of the cell or its data is missing or damaged.
    """
    name = name or f"distilgrid-{cell.labels['task']}"
    if not name.strip() or {*name} & {*"/:'"}:
        raise UserError(
            f"--name: '{name}' cannot be a name in MLflow: it must not be empty, nor hold a slash, colon or quote"
        )
    model, dataset = open_trained(results / cell.folder), open_dataset(results / plan.data[cell.labels["task"]].folder)
    model.check_made_from(open_finished(dataset.folder, only=()))
    longest, records = int(model.run["recipe"]["training"]["max_length"]), all_records(plan, results)
    with open_store(uri, results=results) as store:
        upsert(store, plan, records)
        metrics = model.json("metrics.json")
        score = {"score": f"{metrics['score']:.6g}", "score_name": metrics["score_name"]}
        score["score_dev"] = f"{dev_score(metrics):.6g}"
        content = content_digest(model.run["files"])
        tags = cell_tags(plan, cell) | score | {CONTENT: content}
        wanted = f"name = '{name}' and tags.cell = '{tags['cell']}' and tags.`{CONTENT}` = '{content}'"
        found = next(iter(store.client.search_model_versions(wanted, max_results=1)), None)
        if found and found.tags.get(NOTED) != tags.get(NOTED, found.tags.get(NOTED)):
            store.client.set_model_version_tag(name, found.version, NOTED, tags[NOTED])
        if found:
            advice = "restore the store, or delete this version in MLflow, and register the cell again"
            _check_stored(store.client, found.source, advice=advice)
        packaged = PackagedCell(model, dataset, longest)
        version = found or _new_version(store, plan, cell, packaged, name=name, tags=tags)
    return Registered(name, str(version.version), found is None, cell.folder)


def _new_version(
    store: Store, plan: Plan, cell: Artefact, packaged: PackagedCell, *, name: str, tags: dict[str, str]
) -> "ModelVersion":
    """Log the cell as a model of its run. The version comes last, so that a crash leaves no broken one."""
    client = store.client
    experiment = client.get_experiment_by_name(experiment_name(plan)).experiment_id
    run = existing_runs(client, experiment)[cell.folder][0]
    model = _logged(client, run, tags) or _log(client, run, packaged, tags)
    _ensure_name(client, name, cell)
    # MLflow would look for models:/<id> in the store of its global state.
    given = {
        "run_id": run.info.run_id,
        "tags": tags,
        "model_id": model.model_id,
        "description": plain(noted) if (noted := tags.get(NOTED)) else None,
    }
    return client.create_model_version(name, model.artifact_location, **given)


def _logged(client: "MlflowClient", run: "Run", tags: dict[str, str]) -> "LoggedModel | None":
    """The existing model of the cell, perhaps under another name. Incomplete models are removed, damaged ones not."""
    found = client.search_logged_models([run.info.experiment_id], filter_string=f"tags.cell = '{tags['cell']}'")
    whole = [model for model in found if model.status == "READY"]
    for model in found:
        if model not in whole:
            client.delete_logged_model(model.model_id)
    same = [model for model in whole if model.tags.get(CONTENT) == tags[CONTENT]]
    return next((model for model in same if _is_stored(client, model)), None)


def _is_stored(client: "MlflowClient", model: "LoggedModel") -> bool:
    """Whether the store still has what was sent."""
    try:
        _check_stored(client, model.artifact_location, advice="it is sent again")
    except UserError as error:
        log.warning("%s", error)
        return False
    return True


def _check_stored(client: "MlflowClient", location: str, *, advice: str) -> None:
    """Read back what the store kept, and refuse what differs from what was sent. Raises UserError with `advice`."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="distilgrid-") as scratch:
        given = {"dst_path": str(Path(scratch) / "stored"), "tracking_uri": client.tracking_uri}
        try:
            stored = Path(download_artifacts(location, **given))
        except (OSError, MlflowException) as error:
            raise UserError(f"{location}: cannot be read back ({str(error).partition(chr(10))[0]}); {advice}") from None
        check_sums(stored, advice=advice)


def _log(client: "MlflowClient", run: "Run", packaged: PackagedCell, tags: dict[str, str]) -> "LoggedModel":
    from mlflow.models import Model

    experiment, run_id = run.info.experiment_id, run.info.run_id
    made = client.create_logged_model(experiment, name=f"cell-{packaged.model.key}", source_run_id=run_id, tags=tags)
    with tempfile.TemporaryDirectory(prefix="distilgrid-") as scratch:
        package(packaged, Path(scratch) / "model", Model(run_id=run_id, model_id=made.model_id))
        client.log_model_artifacts(made.model_id, str(Path(scratch) / "model"))
    _check_stored(client, made.artifact_location, advice="check the store, and register the cell again")
    return client.finalize_logged_model(made.model_id, "READY")


def _ensure_name(client: "MlflowClient", name: str, cell: Artefact) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, tags={"task": str(cell.labels["task"])})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
