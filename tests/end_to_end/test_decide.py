"""`distilgrid decide` on the tiny grid: rounds add seeds to the cells of one claim, and a killed call goes on."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

CLAIM = {"id": "kd-gains", "claim": "kd gains.", "source": "none", "certainty": "unknown", "tasks": "all"}
CLAIM |= {"better": {"method": "kd"}, "worse": {"method": "finetune"}}
DECIDE = [sys.executable, "-m", "distilgrid", "decide", "--cores", "2"]


@pytest.fixture
def claiming(project: Any) -> Any:
    """A grid of two seeds that learns something, with a claim that is worth a third one."""
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
    """SHA-256 of students and of the overlay with their seeds."""
    found = [*project.folder.glob("results/students/**/*.safetensors"), project.folder / "results/decisions/tiny.yaml"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


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
def test_a_killed_call_goes_on_to_the_same_result(claiming: Any, tmp_path: Path) -> None:
    environment = claiming.environment()
    with (tmp_path / "said").open("w") as output:
        process = subprocess.Popen(
            DECIDE, cwd=claiming.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        time.sleep(random.uniform(8, 20))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    claiming.run(*DECIDE)
    killed = digests(claiming)
    for path in claiming.folder.glob("results/students/**/seed-2-*/model.safetensors"):
        assert str(path) in killed
    made = claiming.made()
    claiming.run(*DECIDE)
    assert (digests(claiming), claiming.made()) == (killed, made)


def test_a_grid_without_claims_is_refused(project: Any) -> None:
    done = project.run(*DECIDE, check=False)
    assert done.returncode == 2
    assert done.stderr == "distilgrid: decide: the grid judges no claims; name their file as report.claims\n"
