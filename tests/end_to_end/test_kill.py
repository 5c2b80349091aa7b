"""`kill -9` of Snakemake at a random moment, then the same command: results equal an undisturbed run's."""

import base64
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what training made, by path."""
    found = [*folder.glob("results/**/*.safetensors"), *folder.glob("results/**/*.parquet")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def kill_after(project: Any, seconds: float) -> None:
    """Start the students and kill Snakemake outright; its jobs are left to themselves."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--", "students"]
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def check_kill(project: Any, finished: Any, seconds: float) -> None:
    project.write(project.values | {"resources": {"checkpoint_seconds": 0.01}})  # so that training goes on, too
    kill_after(project, seconds)
    project.snakemake("--", "students")
    made_later = ("/reports/", "/mlflow-artifacts/")
    whole = digests(finished.folder)
    undisturbed = {path: value for path, value in whole.items() if not any(part in path for part in made_later)}
    assert digests(project.folder) == undisturbed
    assert not list(project.folder.glob("results/**/.scratch-*"))


def test_a_killed_run_continues(project: Any, finished: Any) -> None:
    check_kill(project, finished, seconds=random.uniform(6, 25))


def test_a_job_that_was_killed_after_its_last_file_hides_no_other_work(changeable: Any) -> None:
    for stage in ("students", "exports", "benchmarks", "reports"):
        shutil.rmtree(changeable.folder / "results" / stage)
    left = changeable.jobs("--", "students")
    assert left == {"distill": 6}
    marks = changeable.folder / ".snakemake/incomplete"
    marks.mkdir(parents=True, exist_ok=True)
    for path in changeable.folder.glob("results/teacher-outputs/**/*.safetensors"):
        for name in ("train.safetensors", "manifest.json", "run.json"):
            made = str(path.with_name(name).relative_to(changeable.folder))
            (marks / base64.b64encode(made.encode()).decode()).touch()
    assert len(list(marks.iterdir())) == 6
    assert changeable.jobs("--", "students") == left


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(5))
def test_killed_runs_continue(project: Any, finished: Any, attempt: int) -> None:
    check_kill(project, finished, seconds=random.Random(attempt).uniform(2, 40))
