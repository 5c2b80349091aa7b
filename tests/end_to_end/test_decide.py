"""`distilgrid decide` on the tiny grid: rounds add seeds to the cells of one claim, and a killed call goes on."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CLAIM = {"id": "kd-gains", "claim": "kd gains.", "source": "none", "certainty": "unknown", "tasks": "all"}
CLAIM |= {"better": {"method": "kd"}, "worse": {"method": "finetune"}}
DECIDE = [sys.executable, "-m", "distilgrid", "decide", "--cores", "2"]


STUDENTS = 6
"""Students of the first round; the second one adds two."""


@pytest.fixture
def claiming(project: Any) -> Any:
    """A grid of two seeds that learns something, with a claim that is worth a third one."""
    return with_claim(project)


def with_claim(project: Any) -> Any:
    paper = {"title": "A paper", "year": 2021, "url": "https://example.org"}
    (project.folder / "claims.yaml").write_text(yaml.safe_dump({"paper": paper, "claims": [CLAIM]}))
    values = project.values
    values["grid"] |= {"methods": ["finetune", "kd", "pkd"], "seeds": [0, 1]}
    values["teachers"]["tiny"]["training"] = {"epochs": 8}
    values["training"] |= {"epochs": 8, "learning_rate": 3e-3}
    values["benchmark"] = {**values["benchmark"], "runtimes": ["torch-eager-fp32"]}
    values["report"] |= {"claims": "claims.yaml", "decide": {"max_seeds": 3}}
    project.write(values)
    return project


def students(project: Any) -> set[str]:
    return {folder for folder in project.made() if folder.startswith("results/students/")}


def digests(project: Any) -> dict[str, str]:
    """SHA-256 of students and of the overlay with their seeds, by path within the project."""
    found = [*project.folder.glob("results/students/**/*.safetensors"), project.folder / "results/decisions/tiny.yaml"]
    return {str(path.relative_to(project.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def decided(project: Any) -> dict[str, dict[str, Any]]:
    """What each round decided, by the report's folder, without the hours, which are measured."""
    found = {}
    for path in project.folder.glob("results/reports/*/claims.json"):
        values = json.loads(path.read_text())["decided"]
        assert values.pop("hours") is not None and values.pop("more_hours") is not None
        found[path.parent.name] = values
    return found


@pytest.mark.slow
def test_a_claim_gets_seeds_and_a_second_call_has_nothing_to_do(claiming: Any) -> None:
    said = claiming.run(*DECIDE).stdout
    seeds = {folder.rpartition("-")[0] for folder in students(claiming)}
    place = "results/students/reviews/tiny/{}/half/none/frac-1/seed-{}"
    wanted = [*((method, seed) for method in ("finetune", "kd") for seed in (0, 1, 2)), ("pkd", 0), ("pkd", 1)]
    assert seeds == {place.format(*each) for each in wanted}
    assert "goes on to 3 seeds" in said
    assert "round 2" in said.splitlines()[-1]
    made, whole = claiming.made(), digests(claiming)
    again = claiming.run(*DECIDE).stdout
    assert again.splitlines()[-2:] == said.splitlines()[-2:]
    assert (claiming.made(), digests(claiming)) == (made, whole)


@pytest.mark.slow
def test_a_killed_call_goes_on_to_the_result_of_an_undisturbed_one(
    claiming: Any, new_project: Callable[[Path], Any], tmp_path: Path
) -> None:
    """The kill comes at any time from the first student on, in either round."""
    count, delay = random.randint(1, STUDENTS + 1), random.uniform(0, 3)
    with (tmp_path / "said").open("w") as output:
        process = subprocess.Popen(
            DECIDE,
            cwd=claiming.folder,
            env=claiming.environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        while process.poll() is None and len(students(claiming)) < count:
            time.sleep(0.1)
        time.sleep(delay)
        assert process.poll() is None, f"ended before it could be killed: {(tmp_path / 'said').read_text()}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    claiming.run(*DECIDE)
    undisturbed = with_claim(new_project(tmp_path / "undisturbed"))
    undisturbed.run(*DECIDE)
    where = f"killed {delay:.1f} s after student {count}"
    assert digests(claiming) == digests(undisturbed), where
    assert len(decided(undisturbed)) == 2
    assert decided(claiming) == decided(undisturbed), where


def test_a_grid_without_claims_is_refused(project: Any) -> None:
    done = project.run(*DECIDE, check=False)
    assert done.returncode == 2
    assert done.stderr == "distilgrid: decide: the grid judges no claims; name their file as report.claims\n"
