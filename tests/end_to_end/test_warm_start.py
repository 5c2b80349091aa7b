"""The jobs of a workflow share a warm process, and make what a process of their own makes."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

STAGES = {"finetune": 1, "record": 2, "distill": 6, "export": 8}


def served(log: Path) -> list[tuple[str, str]]:
    """The jobs that a warm process did: stage and folder."""
    return re.findall(r" exit 0, .*: (\w+) (\S+)$", log.read_text(), re.MULTILINE)


def test_one_warm_process_did_all_jobs_that_need_torch(finished: Any) -> None:
    log = finished.folder / "results/logs/warm.log"
    assert log.read_text().count(" loaded\n") == 1
    stages = [stage for stage, _ in served(log)]
    assert {stage: stages.count(stage) for stage in stages} == STAGES


def test_every_job_has_its_own_log(finished: Any) -> None:
    for path in finished.folder.glob("results/logs/students/**/*.log"):
        assert path.read_text().count("accuracy on validation") == 1


@pytest.mark.parametrize(("stage", "options"), [("finetune", ""), ("distill", "--method pkd .*--seed 1")])
def test_a_cold_start_makes_the_same_bytes(finished: Any, tmp_path: Path, stage: str, options: str) -> None:
    lines = finished.run("python", "-m", "distilgrid", "plan", "--commands").stdout.splitlines()
    (line,) = [line for line in lines if re.search(f"^distilgrid {stage} .*{options}", line)]
    command, folder = line.rpartition(" ")[0], line.rpartition(" ")[2]
    assert (stage, folder) in served(finished.folder / "results/logs/warm.log")
    finished.run("python", "-m", *shlex.split(command), str(tmp_path / "cold"))
    for name in ("model.safetensors", "predictions.parquet", "history.parquet"):
        assert (tmp_path / "cold" / name).read_bytes() == (finished.folder / folder / name).read_bytes()


def test_a_warm_process_has_loaded_what_jobs_need(finished: Any) -> None:
    """A module that jobs import later costs each of them its time: add it to `stages.LATE`."""
    lines = finished.run("python", "-m", "distilgrid", "plan", "--commands").stdout.splitlines()
    line = next(line for line in lines if line.startswith("distilgrid distill"))
    program = (
        "import sys; from distilgrid.jobs.warm import stages; stages.load(); loaded = set(sys.modules)\n"
        "from distilgrid.cli.app import app; app(standalone_mode=False)\n"
        "print(*(name for name in set(sys.modules) - loaded if name.split('.')[0] in ('distilgrid', 'transformers')))"
    )
    words = shlex.split(line)[1:-1]
    done = finished.run("python", "-c", program, *words, "results/again").stdout.splitlines()[-1]
    assert len(done.split()) <= 3, done
