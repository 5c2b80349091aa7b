"""Stores that fail: full disks, damaged files, writers that are killed, and several at once."""

import importlib.util
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.tracked import KD, Store

import distilgrid
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import Plan
from distilgrid.tracking import default_uri, track
from distilgrid.tracking import upsert as upserting
from distilgrid.tracking.store import open_store

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs the extra 'mlflow'"),
]

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


@pytest.mark.slow
def test_processes_that_start_together_on_a_new_store(fabricated: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, results = fabricated
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
def test_folder_stores_are_refused_in_one_line(fabricated: tuple[Plan, Path], uri: str) -> None:
    with pytest.raises(UserError, match="folder stores; use sqlite:///"):
        track(plan=fabricated[0], results=fabricated[1], uri=uri)


def test_a_store_that_is_no_database_is_named(store: Store) -> None:
    (store.results / "other.db").write_text("not a database, but long enough to be read as the header of one")
    with pytest.raises(UserError, match=r"other\.db: MLflow cannot use this store .*file is not a database") as caught:
        track(plan=store.plan, results=store.results, uri=f"sqlite:///{store.results / 'other.db'}")
    assert "\n" not in str(caught.value)


def test_without_mlflow_the_extra_is_named(fabricated: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"pip install 'distilgrid\[mlflow\]'"):
        track(plan=fabricated[0], results=fabricated[1], uri=default_uri(fabricated[1]))


def test_a_damaged_history_is_named(store: Store) -> None:
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    (folder / "history.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"history\.parquet: content differs"):
        store.track()
