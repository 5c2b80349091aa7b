"""The profiles for clusters: what they ask a batch system for. The real SLURM is in tests/cluster."""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

QSUB = """#!/bin/bash
# A batch system in ten lines: a job begins at once, and its exit code is kept.
number=$(( $(ls "$BATCH" | grep -c asked) + 1 ))
script=${!#}
echo "${@:1:$#-1}" > "$BATCH/$number.asked"
( bash "$script" > "$BATCH/$number.log" 2>&1 < /dev/null; echo $? > "$BATCH/$number.ended" ) > /dev/null 2>&1 &
echo "$number.batch"
"""
QSTAT = """#!/bin/bash
number=${!#}; number=${number%.batch}
if [[ -e $BATCH/$number.ended ]]; then
  printf '    job_state = F\\n    Exit_status = %s\\n' "$(cat "$BATCH/$number.ended")"
elif [[ -e $BATCH/$number.asked ]]; then
  echo '    job_state = R'
fi
"""


def profile(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(Path(f"profiles/{name}/config.yaml").read_text())
    return values


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a small batch system with PBS's commands."""
    folder, programs = tmp_path / "batch", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for name, text in (("qsub", QSUB), ("qstat", QSTAT)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("BATCH", str(folder))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return folder


def asked(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("*.asked"))]


@pytest.mark.parametrize("name", ["slurm", "generic"])
def test_latency_is_measured_on_a_node_without_others(name: str) -> None:
    alone = {rule for rule, given in profile(name)["set-resources"].items() if "excl" in str(given)}
    assert alone == {"benchmark", "latency"}


def test_a_batch_system_is_asked_for_what_jobs_need(project: Any, batch: Path) -> None:
    done = project.run(*snakemake("generic", "--seconds-between-status-checks", "1", "--", "data"))
    assert "2 of 2 steps" in done.stdout + done.stderr
    (submitted,) = asked(batch)
    assert "-N prepare" in submitted
    assert "ncpus=1:mem=4000mb" in submitted and "walltime=7200" in submitted and "place=free" in submitted
    assert "ngpus" not in submitted, "not all clusters have any"
    assert list(project.folder.glob("results/data/**/run.json"))


@pytest.mark.slow
def test_a_batch_system_is_asked_for_the_gpus_that_jobs_hold(project: Any, batch: Path) -> None:
    project.write(project.values | {"resources": {"device": "cuda", "processes": 2}})
    done = project.run(*snakemake("generic", "--retries", "0", "--", "teachers"), check=False)
    assert done.returncode != 0, "there is no GPU"
    prepare, finetune = asked(batch)
    assert "-N prepare" in prepare and "ngpus" not in prepare
    assert "-N finetune" in finetune and re.search(r"mem=4000mb:ngpus=2 ", finetune)


def test_a_job_that_the_batch_system_lost_is_submitted_again(project: Any, batch: Path) -> None:
    (batch.parent / "bin" / "qsub").write_text(QSUB.replace('bash "$script"', '[[ $number != 1 ]] && bash "$script"'))
    project.run(*snakemake("generic", "--seconds-between-status-checks", "1", "--", "data"))
    assert len(asked(batch)) == 2
    assert list(project.folder.glob("results/data/**/run.json"))


def test_jobs_of_one_rule_go_as_one_array(project: Any) -> None:
    """That the settings are taken; `tests/cluster` submits such an array."""
    wanted = ("--slurm-array-jobs", "distill, export", "--slurm-array-limit", "100", "--set-resources", "distill:gpu=2")
    done = project.run(*snakemake("slurm", "--dry-run", *wanted, "--", "students"))
    assert re.search(r"^distill +6$", done.stdout, re.MULTILINE)


def snakemake(name: str, *arguments: str) -> tuple[str, ...]:
    plugin = {"slurm": "slurm", "generic": "cluster_generic"}[name]
    if find_spec(f"snakemake_executor_plugin_{plugin}") is None:
        pytest.skip(f"needs snakemake-executor-plugin-{plugin.replace('_', '-')}")
    return (sys.executable, "-m", "snakemake", "--workflow-profile", f"profiles/{name}", "--jobs", "2", *arguments)
