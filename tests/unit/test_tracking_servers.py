"""Tracking into servers: twenty jobs at once on a fresh store, stores that do not answer, stores that come back."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fabricate import fabricate_results
from tests.unit.servers import PASSWORD, free_port, jobs_at_once, mlflow_server, postgresql

import distilgrid
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import Plan
from distilgrid.tracking import WAITING, forget_if_waiting, track
from distilgrid.tracking.store import StoreDownError, shown

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs the extra 'mlflow'"),
]
JOBS = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A finished grid, with its parameters beside the results."""
    plan, results = fabricate_results(tmp_path_factory.mktemp("fabricated"))
    (results.parent / "params.yaml").write_text(json.dumps(plan.params.model_dump(mode="json")))
    return plan, results


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


def words(made: tuple[Plan, Path], *more: str) -> list[str]:
    params = made[1].parent / "params.yaml"
    return ["track", "--params", str(params), "--results", str(made[1]), *more]


def alone(made: tuple[Plan, Path], *more: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "distilgrid", *words(made, *more)]
    return subprocess.run(command, text=True, capture_output=True, env=environment(**variables), check=False)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "PYTHONPATH": str(Path(distilgrid.__file__).parents[1]), **more}


def together(commands: list[list[str]], folder: Path) -> Counter[str]:
    """Run jobs at once, none of which may fail or complain; what they did, added up."""
    ended = jobs_at_once(commands, folder)
    assert [code for code, _, _ in ended] == [0] * len(commands), ended
    assert not [complaint for _, _, complaint in ended if complaint]
    done: Counter[str] = Counter()
    for _, said, _ in ended:
        done.update({name: int(count) for name, count in (each.split() for each in said.strip().split(", ")[1:])})
    return done


def check_whole(uri: str) -> None:
    """Each cell is there once, whole, below the one run of the grid."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("distilgrid-fabricated")
    runs = client.search_runs([experiment.experiment_id])
    names = Counter(run.data.tags["folder"] for run in runs)
    assert len(names) == 19 and set(names.values()) == {1}
    (top,) = [run.info.run_id for run in runs if run.data.tags["folder"] == "grid"]
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs if run.info.run_id != top}
    assert parents == {top}
    assert all(run.data.tags["distilgrid.fingerprint"] for run in runs)
    assert all(len(run.inputs.dataset_inputs) >= 3 for run in runs if run.info.run_id != top)


@pytest.mark.slow
def test_twenty_jobs_at_once_on_a_fresh_postgresql_database(
    made: tuple[Plan, Path], database: str, tmp_path: Path
) -> None:
    done = together([words(made, "--uri", database)] * JOBS, tmp_path)
    assert (done["created"], done["unchanged"], done["updated"]) == (18, 18 * (JOBS - 1), 0)
    check_whole(database)
    assert not Path("mlruns").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_twenty_jobs_at_once_on_a_server(made: tuple[Plan, Path], tmp_path: Path, kind: str) -> None:
    if kind == "sqlite":
        check_server(made, tmp_path, f"sqlite:///{tmp_path / 'server.db'}")
    else:
        with postgresql() as address:
            check_server(made, tmp_path, address)


def check_server(made: tuple[Plan, Path], tmp_path: Path, store: str) -> None:
    with mlflow_server(tmp_path, store, port=free_port()) as address:
        done = together([words(made, "--uri", address)] * JOBS, tmp_path)
        assert (done["created"], done["unchanged"], done["updated"]) == (18, 18 * (JOBS - 1), 0)
        check_whole(address)
        assert track(plan=made[0], results=made[1], uri=address)["unchanged"] == 18


@pytest.mark.slow
def test_a_server_that_stops_loses_nothing(made: tuple[Plan, Path], tmp_path: Path, quick: None) -> None:
    from mlflow import MlflowClient

    store, port = f"sqlite:///{tmp_path / 'server.db'}", free_port()
    log_batch, calls = MlflowClient.log_batch, iter(range(100))
    with mlflow_server(tmp_path, store, port=port) as address, pytest.MonkeyPatch.context() as patch:
        server = MlflowClient(address)

        def unanswered(self: MlflowClient, *given: Any, **named: Any) -> None:
            """From the fifth cell on, nobody is at the address."""
            client = server if next(calls) < 5 else MlflowClient(f"http://127.0.0.1:{free_port()}")
            log_batch(client, *given, **named)

        patch.setattr(MlflowClient, "log_batch", unanswered)
        with pytest.raises(StoreDownError, match="does not answer"):
            track(plan=made[0], results=made[1], uri=address)
    with pytest.raises(StoreDownError, match="nothing is lost: start it and track again"):
        track(plan=made[0], results=made[1], uri=address)
    with mlflow_server(tmp_path, store, port=port) as address:
        done = track(plan=made[0], results=made[1], uri=address)
        assert (done["created"], done["updated"], done["unchanged"]) == (13, 1, 4)
        check_whole(address)


def test_a_server_that_is_not_there_is_one_line_and_a_code(made: tuple[Plan, Path]) -> None:
    address, began = f"http://someone:{PASSWORD}@127.0.0.1:{free_port()}", time.monotonic()
    job = alone(made, MLFLOW_TRACKING_URI=address)
    assert (job.returncode, job.stdout) == (2, "")
    assert job.stderr.count("\n") == 1 and "the store does not answer" in job.stderr
    assert PASSWORD not in job.stderr
    assert time.monotonic() - began < 150, "MLflow's own settings take four minutes"


def test_a_job_of_the_workflow_succeeds_without_the_server_but_is_not_taken_for_done(
    made: tuple[Plan, Path], tmp_path: Path
) -> None:
    summary = tmp_path / "summary.json"
    words = ("--uri", f"http://127.0.0.1:{free_port()}", "--or-later", "--out", str(summary))
    job = alone(made, *words, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert job.returncode == 0 and "does not answer" in job.stderr
    assert "does not answer" in json.loads(summary.read_text())[WAITING]
    forget_if_waiting(summary)
    assert not summary.exists()
    summary.write_text('{"grid": "fabricated", "runs": 18}')
    forget_if_waiting(summary)
    assert summary.exists()


def test_a_server_that_hangs_is_given_up(made: tuple[Plan, Path], quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(StoreDownError, match="does not answer"):
        track(plan=made[0], results=made[1], uri=f"http://127.0.0.1:{deaf.getsockname()[1]}")


@pytest.mark.skipif(importlib.util.find_spec("psycopg2") is None, reason="needs the extra 'mlflow-postgresql'")
def test_a_database_that_is_not_there_waits_too(made: tuple[Plan, Path]) -> None:
    with pytest.raises(StoreDownError, match=r"postgresql://me:\*\*\*@127.0.0.1.*does not answer") as caught:
        track(plan=made[0], results=made[1], uri=f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/none")
    assert PASSWORD not in str(caught.value)


@pytest.mark.slow
def test_a_wrong_password_is_not_a_store_that_is_down(made: tuple[Plan, Path], database: str) -> None:
    with pytest.raises(UserError, match="password authentication failed") as caught:
        track(plan=made[0], results=made[1], uri=database.replace(PASSWORD, "wrong"))
    assert not isinstance(caught.value, StoreDownError)


def test_without_the_driver_its_extra_is_named(made: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(UserError, match=r"pip install 'distilgrid\[mlflow-postgresql\]'"):
        track(plan=made[0], results=made[1], uri="postgresql://127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////tmp/a@b:c.db", "sqlite:////tmp/a@b:c.db"),
    ],
)
def test_passwords_are_not_shown(uri: str, told: str) -> None:
    assert shown(uri) == told
