"""The workflow on a real SLURM: the same results, through killed jobs, drained nodes and signals to stop."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("slurm")]
HERE = (
    *("--workflow-profile", "profiles/slurm", "--jobs", "2", "--latency-wait", "5"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--default-resources", "mem_mb=1000", "runtime=10", "slurm_partition=main"),
)
WITHOUT_ACCOUNTS = ("--slurm-no-account",)


def accounted() -> bool:
    """Whether this SLURM keeps accounts."""
    return (
        re.search(r"AccountingStorageType\s*= accounting_storage/slurmdbd", asked("scontrol", "show", "config"))
        is not None
    )


def asked(*command: str) -> str:
    """What a program of SLURM's answers."""
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def jobs(rule: str, state: str) -> list[str]:
    """The ids of SLURM's jobs of a rule in a state: RUNNING, PENDING."""
    lines = asked("squeue", "-h", "-t", state, "-o", "%i %k").splitlines()
    return [line.split()[0] for line in lines if f"rule_{rule}_" in line]


def awaited(found: Callable[[], Any], *, seconds: float = 240) -> Any:
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"nothing within {seconds:.0f} s; the queue: {asked('squeue')}")


@pytest.fixture
def submitted(project: Any) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts the workflow on SLURM, and ends what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def start(*targets: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        options = (*HERE, *(() if accounted() else WITHOUT_ACCOUNTS), *options)
        command = [sys.executable, "-m", "snakemake", *options, "--", *targets]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        run = subprocess.Popen(command, cwd=project.folder, env=project.environment(), text=True, **pipes)
        started.append(run)
        return run

    yield start
    for run in started:
        run.kill()
        run.communicate()
    subprocess.run(["scancel", "--user", "root"], check=True)


def finished(run: "subprocess.Popen[str]") -> None:
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output[-3000:]


def scores(folder: Path) -> dict[str, Any]:
    """What models came to, without how long that took."""
    found = {}
    for path in sorted((folder / "results").glob("[ts]*/**/metrics.json")):  # teachers and students
        metrics = json.loads(path.read_text())
        found[str(path.parent.relative_to(folder))] = (metrics["validation"], metrics["dev"], metrics["best_step"])
    return found


def test_the_grid_gives_what_it_gives_at_home(
    project: Any, submitted: Any, new_project: Callable[[Path], Any], tmp_path: Path
) -> None:
    finished(submitted("report", options=("--slurm-efficiency-report",) if accounted() else ()))
    home = new_project(tmp_path / "home")
    home.snakemake("--", "report")
    assert scores(project.folder) == scores(home.folder)
    assert len(list(project.folder.glob("efficiency_report_*.csv"))) == accounted()


def test_jobs_of_one_rule_go_as_one_array(project: Any, submitted: Any) -> None:
    project.values["grid"] |= {"methods": ["finetune", "kd"], "baselines": []}
    project.write(project.values)
    run = submitted("students", options=("--jobs", "8", "--slurm-array-jobs", "distill"))
    assert awaited(lambda: [job for job in asked("squeue", "-h", "-r", "-o", "%F_%K").split() if "_N/A" not in job])
    finished(run)
    assert len(list(project.folder.glob("results/students/**/run.json"))) == 4


def test_a_job_that_is_killed_is_submitted_again(project: Any, submitted: Any) -> None:
    run = submitted("students")
    (first, *_) = awaited(lambda: jobs("distill", "RUNNING"))
    asked("scancel", first)
    finished(run)
    assert not list(project.folder.glob("results/**/.scratch-*"))


def test_jobs_wait_for_a_drained_node(project: Any, submitted: Any) -> None:
    node = socket.gethostname().partition(".")[0]
    asked("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        run = submitted("data")
        awaited(lambda: jobs("prepare", "PENDING"))
        time.sleep(5)
        assert jobs("prepare", "RUNNING") == []
        assert run.poll() is None
    finally:
        asked("scontrol", "update", f"NodeName={node}", "State=RESUME")
    finished(run)


def test_a_signal_ahead_of_the_time_limit_saves_the_state_that_the_next_job_goes_on_from(
    project: Any, submitted: Any
) -> None:
    """As `--signal=USR1@180` sends it. SLURM's clock for it is a minute coarse, so the test sends it."""
    values = project.values
    values["grid"] |= {"methods": ["finetune"], "seeds": [0], "baselines": []}
    values["students"]["half"]["training"] = {"epochs": 600}
    project.write(values | {"resources": {"checkpoint_seconds": 600}})
    run = submitted("students")
    (first, *_) = awaited(lambda: jobs("distill", "RUNNING"))

    def log() -> str:
        paths = project.folder.glob("results/logs/students/**/*.log")
        return "".join(path.read_text() for path in paths)

    awaited(lambda: "INFO step" in log())
    asked("scancel", "--signal=USR1", first)
    awaited(lambda: "start again to go on from the saved state" in log())
    finished(run)
    (metrics,) = project.folder.glob("results/students/**/metrics.json")
    assert json.loads(metrics.read_text())["resumed_at"] > 0
