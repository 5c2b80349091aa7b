"""Servers on loopback for tests: MLflow's own, and PostgreSQL where its programs are installed."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.processes import eventually

from distilgrid.tracking.store import QUIET

PASSWORD = "not-to-be-shown"
NEEDED = ("initdb", "postgres")


def jobs_at_once(commands: list[list[str]], folder: Path) -> list[tuple[int, str, str]]:
    """Run `distilgrid` commands at once, each in a process of its own, forked from one that has imported MLflow; their
    exit codes, outputs and complaints."""
    os.environ |= QUIET
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store", "mlflow.tracking", "distilgrid.cli.app"])
    logs = [folder / f"job-{number}" for number in range(len(commands))]
    jobs = [context.Process(target=_job, args=each) for each in zip(commands, logs, strict=True)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    ended = zip(jobs, logs, strict=True)
    return [
        (job.exitcode or 0, log.with_suffix(".out").read_text(), log.with_suffix(".err").read_text())
        for job, log in ended
    ]


def _job(words: list[str], log: Path) -> None:
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(log.with_suffix(suffix), os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.argv = ["distilgrid", *words]
    from distilgrid.cli.app import main

    main()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], log: Path, *, end: int = signal.SIGTERM, **options: Any) -> Iterator[None]:
    """A program in a process group of its own, which the signal `end` ends with the block."""
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True, **options)
    try:
        yield
    finally:
        os.killpg(process.pid, end)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def mlflow_server(folder: Path, store: str, *, port: int) -> Iterator[str]:
    """An MLflow server; yields its address."""
    address, log = f"http://127.0.0.1:{port}", folder / "server.log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(command, log, cwd=folder, env=environment):
        assert eventually(lambda: _healthy(address), seconds=400, pause=0.3), log.read_text()
        yield address


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def postgresql_programs() -> dict[str, str]:
    """Where PostgreSQL's programs are, as far as they are installed."""
    places = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    found = {name: shutil.which(name, path=places) for name in NEEDED}
    return {name: path for name, path in found.items() if path}


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """An empty database that asks for a password; yields its address. Root may not serve one, so `nobody` does."""
    pytest.importorskip("psycopg2", reason="needs the extra 'mlflow-postgresql'")
    programs = postgresql_programs()
    if len(programs) < len(NEEDED):
        pytest.skip(f"needs PostgreSQL's {' and '.join(NEEDED)}")
    whose: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    folder, port = Path(tempfile.mkdtemp(prefix="distilgrid-postgresql-")), free_port()
    data, log = folder / "data", folder / "log"
    (folder / "password").write_text(PASSWORD)
    log.touch()
    if whose:
        for path in (folder, folder / "password", log):
            shutil.chown(path, "nobody")
    try:
        make = [programs["initdb"], "-D", str(data), "-U", "distilgrid", "--no-sync", "-A", "scram-sha-256"]
        subprocess.run(
            [*make, "--pwfile", str(folder / "password")], check=True, capture_output=True, cwd=folder, **whose
        )
        serve = [programs["postgres"], "-D", str(data), "-k", str(folder), "-h", "127.0.0.1", "-p", str(port), "-F"]
        with running(serve, log, end=signal.SIGINT, cwd=folder, **whose):  # SIGTERM would wait for its clients
            address = f"postgresql://distilgrid:{PASSWORD}@127.0.0.1:{port}/postgres"
            assert eventually(lambda: _connects(address), seconds=60, pause=0.2), log.read_text()
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _connects(address: str) -> bool:
    import psycopg2

    with contextlib.suppress(psycopg2.OperationalError):
        psycopg2.connect(address).close()
        return True
    return False
