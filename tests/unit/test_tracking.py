"""Finished cells in MLflow: what is shown, what a second call changes, crashes, and several processes at once."""

import hashlib
import importlib.util
import json
import os
import re
import resource
import runpy
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import distilgrid
from distilgrid.core.artefacts import read_json, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Artefact, Plan, expand
from distilgrid.plan.params import parse_params
from distilgrid.tracking import default_uri, track
from distilgrid.tracking import upsert as upserting
from distilgrid.tracking.datasets import DataSets
from distilgrid.tracking.store import open_store

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs the extra 'mlflow'"),
]
fabricate_results = runpy.run_path(str(Path(__file__).with_name("fabricate.py")))["fabricate_results"]

PROCESS = """
import json, sys
from pathlib import Path
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params
from distilgrid.tracking import track
import mlflow.tracking
plan = expand(load_params([sys.argv[1]]))
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(track(plan=plan, results=Path(sys.argv[2]), uri=sys.argv[3])))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    return fabricate_results(tmp_path_factory.mktemp("fabricated"))


@pytest.fixture(scope="module")
def shown(made: tuple[Plan, Path], tmp_path_factory: pytest.TempPathFactory) -> "Store":
    """The results, tracked once; for tests that only look, and to copy: MLflow's migrations take seconds."""
    results = tmp_path_factory.mktemp("shown") / "results"
    shutil.copytree(made[1], results)
    store = Store(made[0], results)
    assert store.track() == {"grid": "fabricated", "runs": 18, "created": 18, "updated": 0, "unchanged": 0}
    return store


@pytest.fixture
def store(shown: "Store", tmp_path: Path) -> "Store":
    """A tracked copy to change."""
    shutil.copytree(shown.results, tmp_path / "results")
    return Store(shown.plan, tmp_path / "results")


@pytest.fixture
def untracked(store: "Store") -> "Store":
    """The same, as if nothing had been tracked but the store were there."""
    with sqlite3.connect(store.results / "mlflow.db") as connection:
        for table in (
            "metrics",
            "latest_metrics",
            "params",
            "tags",
            "inputs",
            "input_tags",
            "datasets",
            "runs",
            "experiment_tags",
        ):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM experiments WHERE name != 'Default'")
    return store


class Store:
    """A plan, its results, and what MLflow holds of them."""

    def __init__(self, plan: Plan, results: Path) -> None:
        self.plan, self.results, self.uri = plan, results, default_uri(results)

    def track(self, plan: Plan | None = None) -> dict[str, Any]:
        return track(plan=plan or self.plan, results=self.results, uri=self.uri)

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs(self) -> dict[str, Any]:
        """The active runs by name."""
        experiment = self.client.get_experiment_by_name("distilgrid-fabricated")
        runs = self.client.search_runs([experiment.experiment_id])
        assert len({run.info.run_name for run in runs}) == len(runs)
        return {run.info.run_name: run for run in runs}

    def dump(self) -> list[str]:
        """Every row of every table."""
        with sqlite3.connect(self.results / "mlflow.db") as connection:
            return list(connection.iterdump())

    def folder(self, kind: list[Artefact], **labels: object) -> Path:
        """The folder of the one artefact with these labels."""
        (found,) = [a for a in kind if all(a.labels[name] == value for name, value in labels.items())]
        return self.results / found.folder

    def change(self, path: Path, **values: object) -> None:
        write_json(path, deep_merge(read_json(path), values))


KD = "reviews / kd / three / seed 0"


def test_every_finished_cell_is_one_run_under_the_run_of_its_grid(shown: Store) -> None:
    runs = shown.runs()
    grid = runs.pop("fabricated")
    assert len(runs) == 18
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {grid.info.run_id}
    assert {run.data.tags["cell"] for run in runs.values()} == {
        model.key for model in [*shown.plan.teachers, *shown.plan.students]
    }
    assert {run.info.status for run in [grid, *runs.values()]} == {"FINISHED"}
    assert "reviews / teacher / big / seed 0" in runs


def test_a_run_shows_the_recipe_the_files_and_the_curves_of_its_cell(shown: Store) -> None:
    run, folder = (
        shown.runs()[KD],
        shown.folder(shown.plan.students, task="reviews", method="kd", student="three", seed=0),
    )
    metrics, made = read_json(folder / "metrics.json"), read_json(folder / "run.json")
    params, tags, values = run.data.params, run.data.tags, run.data.metrics
    assert (params["method.alpha"], params["training.learning_rate"], params["student.layers"]) == ("0.7", "5e-05", "3")
    assert (params["method"], params["model.precision"], params["seed"]) == ("kd", "fp32", "0")
    axes = {"task": "reviews", "teacher": "big", "method": "kd", "student": "three", "augmentation": "none"}
    assert axes.items() <= tags.items()
    assert (tags["fraction"], tags["recipe"], tags["role"]) == ("1", "kd / three", "student")
    assert all((shown.results / tags[name]).is_dir() for name in ("folder", "benchmark", "export.onnxruntime-int8"))
    assert values["score"] == metrics["score"] == values["validation/accuracy"]
    assert values["validation/f1"] == metrics["validation"]["validation"]["f1"]
    assert values["dev_best/accuracy"] == metrics["dev"]["accuracy"]
    assert values["train_seconds"] == metrics["train_seconds"]
    assert run.info.end_time - run.info.start_time == round(made["seconds"] * 1000)
    loss = shown.client.get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in loss] == [2, 4, 6, 8, 10, 12]
    assert [point.timestamp for point in loss] == sorted({point.timestamp for point in loss})
    assert [point.step for point in shown.client.get_metric_history(run.info.run_id, "dev/accuracy")] == [4, 8, 12]
    assert not [name for name in values if "learning_rate" in name]


def test_a_run_names_the_data_that_it_used(shown: Store) -> None:
    runs, folder = shown.runs(), shown.results / shown.plan.data["topics"].folder
    found = runs["topics / kd / two / seed 1"].inputs.dataset_inputs
    used = {tag.value: each for each in found for tag in each.tags if tag.key == "mlflow.data.context"}
    assert used.keys() == {"train", "dev", "validation", "validation_shifted"}
    for split, each in used.items():
        digest = hashlib.sha256((folder / f"{split}.parquet").read_bytes()).hexdigest()
        assert (each.dataset.name, each.dataset.digest) == ("topics", digest[:12])
        source, profile = json.loads(each.dataset.source), json.loads(each.dataset.profile)
        assert (shown.results / source["uri"]).samefile(folder / f"{split}.parquet")
        assert source["from"] == shown.plan.params.tasks["topics"].source
        assert profile["num_rows"] == len(pd.read_parquet(folder / f"{split}.parquet"))
        assert {column["name"] for column in json.loads(each.dataset.schema)["mlflow_colspec"]} >= {"text_a", "label"}
    assert not runs["fabricated"].inputs.dataset_inputs
    with sqlite3.connect(shown.results / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM datasets").fetchone() == (7,), "each split once, not per run"


def test_methods_share_their_metric_names_and_are_measured_against_their_teacher(shown: Store) -> None:
    runs = shown.runs()
    teacher = runs["reviews / teacher / big / seed 0"].data.metrics
    assert set(runs[KD].data.metrics) == set(runs["reviews / finetune / two / seed 0"].data.metrics) == set(teacher)
    metrics = runs[KD].data.metrics
    assert metrics["score_vs_teacher"] == pytest.approx(metrics["score"] / teacher["score"], abs=1e-4)
    assert metrics["score_int8"] == pytest.approx(metrics["score"] - 0.004)
    assert metrics["latency_ms/onnxruntime-int8-b1-len128"] == pytest.approx(0.4 + 0.8 * 3)
    assert metrics["speedup/onnxruntime-int8-b1-len128"] == pytest.approx((0.4 + 0.8 * 6) / (0.4 + 0.8 * 3), abs=0.01)
    assert teacher["speedup/onnxruntime-int8-b1-len128"] == 1
    later_seed = runs["reviews / kd / three / seed 1"].data.metrics
    assert "score_int8" not in later_seed
    assert later_seed["latency_ms/torch-eager-fp32-b1-len32"] == metrics["latency_ms/torch-eager-fp32-b1-len32"]


def test_the_grid_shows_the_best_recipe_of_each_task(shown: Store) -> None:
    runs = shown.runs()
    grid = runs.pop("fabricated").data
    scores: dict[str, list[float]] = {}
    for run in runs.values():
        if (run.data.tags["task"], run.data.tags["role"]) == ("topics", "student"):
            scores.setdefault(run.data.tags["recipe"], []).append(run.data.metrics["score"])
    best = max(scores, key=lambda recipe: sum(scores[recipe]))
    assert grid.tags["best_score.topics"] == best
    assert grid.metrics["best_score/topics"] == pytest.approx(sum(scores[best]) / 2)
    assert grid.metrics["teacher_score/topics"] == runs["topics / teacher / big / seed 0"].data.metrics["score"]


def test_a_second_call_changes_nothing_at_all(store: Store) -> None:
    before = store.dump()
    assert store.track() == {"grid": "fabricated", "runs": 18, "created": 0, "updated": 0, "unchanged": 18}
    assert store.dump() == before


def test_a_cell_appears_when_it_is_finished(untracked: Store) -> None:
    folder = untracked.folder(untracked.plan.students, task="reviews", method="kd", student="three", seed=0)
    (folder / "run.json").rename(folder / "hidden")
    assert untracked.track()["runs"] == 17
    grid = untracked.runs()["fabricated"]
    assert KD not in untracked.runs()
    (folder / "hidden").rename(folder / "run.json")
    assert untracked.track() == {"grid": "fabricated", "runs": 18, "created": 1, "updated": 0, "unchanged": 17}
    assert untracked.runs()["fabricated"].info.run_id == grid.info.run_id
    assert untracked.runs()["fabricated"].data.metrics["cells"] == 18


def test_nothing_finished_is_nothing_to_show(made: tuple[Plan, Path], tmp_path: Path) -> None:
    assert track(plan=made[0], results=tmp_path, uri=default_uri(tmp_path))["runs"] == 0
    assert not list(tmp_path.iterdir())


def test_a_late_benchmark_and_a_new_measurement_write_their_runs_again(untracked: Store) -> None:
    folder = untracked.folder(untracked.plan.of("benchmark"), task="reviews")
    (folder / "run.json").rename(folder / "hidden")
    untracked.track()
    first = untracked.runs()
    assert "benchmark" not in first[KD].data.tags
    (folder / "hidden").rename(folder / "run.json")
    assert untracked.track() == {"grid": "fabricated", "runs": 18, "created": 0, "updated": 9, "unchanged": 9}
    export = untracked.folder(
        untracked.plan.of("export"), task="reviews", method="kd", student="three", runtime="onnxruntime-int8"
    )
    untracked.change(export / "parity.json", score=0.5)
    assert untracked.track()["updated"] == 1
    second = untracked.runs()
    same = {name for name, run in first.items() if run.info.run_id == second[name].info.run_id}
    assert first.keys() == second.keys() and same == {"fabricated", *(n for n in first if n.startswith("topics"))}
    run = second[KD]
    assert run.data.tags["benchmark"] == str(folder.relative_to(untracked.results))
    assert run.data.metrics["score_int8"] == 0.5
    assert len(untracked.client.get_metric_history(run.info.run_id, "score")) == 1
    assert len(untracked.client.get_metric_history(run.info.run_id, "train/loss")) == 6
    before = untracked.dump()
    assert untracked.track()["unchanged"] == 18
    assert untracked.dump() == before


def test_the_grid_shows_a_new_score_although_the_clock_was_set_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = store.runs()["fabricated"].info.run_id
    metrics = store.folder(store.plan.teachers, task="topics") / "metrics.json"
    monkeypatch.setattr("time.time", lambda: 1e9)
    for score in (0.75, 0.25):
        store.change(metrics, score=score)
        store.track()
        grid = store.runs()["fabricated"]
        assert (grid.info.run_id, grid.data.metrics["teacher_score/topics"]) == (top, score)
    assert store.track()["updated"] == 0


@pytest.mark.parametrize(
    "reason",
    [
        "(sqlite3.OperationalError) database or disk is full",
        "(sqlite3.OperationalError) attempt to write a readonly database",
        "(sqlite3.OperationalError) unable to open database file",
        "(sqlite3.OperationalError) database is locked",
    ],
)
def test_a_store_that_is_whole_is_not_to_be_removed(store: Store, reason: str) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    advice = f"{re.escape(reason)}.*free space, the permissions of .*, and whether another program"
    with pytest.raises(UserError, match=advice) as caught, open_store(store.uri, results=store.results):
        raise SQLAlchemyError(reason)
    assert "remove" not in str(caught.value)


def test_a_full_disk_leaves_the_store_whole(store: Store) -> None:
    before = store.dump()
    for folder in store.results.glob("students/**/run.json"):
        store.change(folder, started="2026-01-01T00:00:00+00:00")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match=r"mlflow\.db: ") as caught:
            store.track()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "remove" not in str(caught.value)
    assert store.dump() == before
    assert store.track()["updated"] > 0


def test_runs_from_before_datasets_were_kept_gain_them(untracked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DataSets, "of", lambda *_: ())
        untracked.track()
    top = untracked.runs()["fabricated"].info.run_id
    assert untracked.track()["updated"] == 18
    second = untracked.runs()
    assert second["fabricated"].info.run_id == top
    assert len(second[KD].inputs.dataset_inputs) == 3
    assert untracked.track()["unchanged"] == 18


def test_other_data_is_another_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, of = store.runs()[KD], DataSets.of
    monkeypatch.setattr(DataSets, "of", lambda *given: tuple(replace(each, digest="other") for each in of(*given)[:1]))
    assert store.track()["updated"] == 18
    second = store.runs()[KD]
    assert second.info.run_id != first.info.run_id
    assert [each.dataset.digest for each in second.inputs.dataset_inputs] == ["other"]


def test_what_writers_without_a_common_lock_made_twice_is_one_after_the_next_call(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer misses the runs of another one, as if they appeared just after it had looked."""
    with monkeypatch.context() as patch:
        patch.setattr(upserting, "existing_runs", lambda *_: {})
        assert store.track()["created"] == 18
    assert store.track()["unchanged"] == 18
    runs = store.runs()
    (top,) = [run.info.run_id for name, run in runs.items() if name == "fabricated"]
    assert len(runs) == 19
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs.values()} == {top, None}


def test_a_writer_waits_for_the_one_that_holds_the_lock(store: Store) -> None:
    from filelock import FileLock

    lock, ended = FileLock(store.results / "mlflow.db.lock"), threading.Event()
    with lock:
        writer = threading.Thread(target=lambda: (store.track(), ended.set()))
        writer.start()
        assert not ended.wait(0.5)
    assert ended.wait(60)
    writer.join()


def test_what_a_user_wrote_into_a_run_moves_to_the_one_that_replaces_it(store: Store) -> None:
    run_id = store.runs()[KD].info.run_id
    for name, value in (("mlflow.note.content", "odd curve"), ("mine", "yes"), ("export.gone", "away")):
        store.client.set_tag(run_id, name, value)
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    store.change(folder / "run.json", started="2026-01-01T00:00:00+00:00")
    store.track()
    tags = store.runs()[KD].data.tags
    assert (tags["mlflow.note.content"], tags["mine"], "export.gone" in tags) == ("odd curve", "yes", False)
    assert store.client.get_run(run_id).info.lifecycle_stage == "deleted"


def test_a_changed_run_is_deleted_only_once_the_new_one_is_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    first = store.runs()[KD].info.run_id
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    store.change(folder / "run.json", started="2026-01-01T00:00:00+00:00")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_inputs", killed)
        with pytest.raises(KeyboardInterrupt):
            store.track()
    assert store.client.get_run(first).info.lifecycle_stage == "active"
    assert store.track()["updated"] == 1
    assert len(store.runs()) == 19
    assert store.client.get_run(first).info.lifecycle_stage == "deleted"


def test_a_cell_that_was_trained_again_gets_a_fresh_run(store: Store) -> None:
    first = store.runs()[KD]
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    store.change(folder / "run.json", started="2026-01-01T00:00:00+00:00")
    assert store.track()["updated"] == 1
    second = store.runs()[KD]
    assert second.info.run_id != first.info.run_id
    assert len(store.client.get_metric_history(second.info.run_id, "train/loss")) == 6


def test_an_interrupted_call_leaves_nothing_that_the_next_one_does_not_mend(
    untracked: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    log_batch, calls = MlflowClient.log_batch, iter(range(100))

    def killed(self: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        stop = next(calls) == 5
        log_batch(self, run_id, metrics, params, () if stop else tags)
        if stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            untracked.track()
    halves = [run for run in untracked.runs().values() if not run.data.tags["distilgrid.fingerprint"]]
    assert len(halves) == 1
    assert untracked.track() == {"grid": "fabricated", "runs": 18, "created": 13, "updated": 1, "unchanged": 4}
    runs = untracked.runs()
    assert len(runs) == 19
    assert halves[0].info.run_id not in {run.info.run_id for run in runs.values()}
    assert all(run.data.tags["distilgrid.fingerprint"] for run in runs.values())


def test_cells_that_left_the_grid_stay_but_are_marked(store: Store) -> None:
    values = deep_merge(store.plan.params.model_dump(), {"grid": {"seeds": [0]}})
    smaller = expand(parse_params(values, origin="smaller"))
    assert store.track(smaller)["runs"] == 10
    now = {name for name, run in store.runs().items() if run.data.tags.get("in_plan") == "yes"}
    assert now == {name for name in store.runs() if name.endswith("seed 0")}
    assert len(store.runs()) == 19
    assert store.track()["runs"] == 18
    assert {run.data.tags.get("in_plan") for run in store.runs().values()} == {"yes", None}


def test_a_refused_export_is_not_scored(untracked: Store) -> None:
    export = untracked.folder(
        untracked.plan.of("export"), task="reviews", method="kd", student="three", runtime="onnxruntime-int8"
    )
    untracked.change(export / "parity.json", accepted=False)
    untracked.track()
    assert "score_int8" not in untracked.runs()[KD].data.metrics


def test_someone_elses_run_and_a_deleted_run_are_respected(store: Store) -> None:
    own = store.client.create_run("1", tags={"note": "mine"}, run_name="mine")
    store.client.delete_run(store.runs()[KD].info.run_id)
    assert store.track() == {"grid": "fabricated", "runs": 18, "created": 1, "updated": 0, "unchanged": 17}
    assert store.runs()["mine"].info.run_id == own.info.run_id


@pytest.mark.slow
def test_processes_that_start_together_on_a_new_store(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, results = made
    database, params = tmp_path / "new" / "mlflow.db", tmp_path / "params.yaml"
    database.parent.mkdir()
    (database.parent / ".mlflow.db.new").write_text("what a killed process left")
    params.write_text(json.dumps(plan.params.model_dump()))
    command = [sys.executable, "-c", PROCESS, str(params), str(results), f"sqlite:///{database}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(distilgrid.__file__).parents[1])}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = [subprocess.Popen(command, **pipes, text=True, cwd=tmp_path, env=environment) for _ in range(3)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * 3, outputs
    assert [error for _, error in outputs] == [""] * 3
    summaries = [json.loads(output) for output, _ in outputs]
    assert sorted(summary["created"] for summary in summaries) == [0, 0, 18]
    assert sorted(summary["unchanged"] for summary in summaries) == [0, 18, 18]
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (19,)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "params.yaml"}


@pytest.mark.parametrize("uri", ["file:./mlruns", "mlruns", "file:///tmp/mlruns"])
def test_folder_stores_are_refused_in_one_line(made: tuple[Plan, Path], uri: str) -> None:
    with pytest.raises(UserError, match="folder stores; use sqlite:///"):
        track(plan=made[0], results=made[1], uri=uri)


def test_a_store_that_is_no_database_is_named(store: Store) -> None:
    (store.results / "other.db").write_text("not a database, but long enough to be read as the header of one")
    with pytest.raises(UserError, match=r"other\.db: MLflow cannot use this store .*file is not a database") as caught:
        track(plan=store.plan, results=store.results, uri=f"sqlite:///{store.results / 'other.db'}")
    assert "\n" not in str(caught.value)


def test_without_mlflow_the_extra_is_named(made: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"pip install 'distilgrid\[mlflow\]'"):
        track(plan=made[0], results=made[1], uri=default_uri(made[1]))


def test_a_damaged_history_is_named(store: Store) -> None:
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    (folder / "history.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"history\.parquet: cannot be read"):
        store.track()


def test_telemetry_is_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    store.track()
    assert (os.environ["MLFLOW_DISABLE_TELEMETRY"], os.environ["DO_NOT_TRACK"]) == ("true", "true")
