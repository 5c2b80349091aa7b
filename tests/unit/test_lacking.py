"""Packages that jobs of a grid need are missed by its plan and by the start of its jobs, not after hours."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.command_line import Run, one_line

from distilgrid.core.errors import UserError
from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params
from distilgrid.stages.table import check_machine

Hide = Callable[..., None]
START = """
import importlib.util, sys
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params
from distilgrid.workflow.opening import start_jobs
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "onnxruntime" else find(name, *more)
plan = expand(load_params([sys.argv[1]]))
left = plan.of(sys.argv[2])
assert left
start_jobs(plan, results="results", main=True, left=left)
print("started")
"""


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Makes packages look as if they were not installed."""
    find = importlib.util.find_spec

    def call(*names: str) -> None:
        def found(name: str, package: str | None = None) -> Any:
            return None if name in names else find(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", found)

    return call


@pytest.fixture
def params(tmp_path: Path, tiny_values: dict[str, Any]) -> Path:
    tiny_values["benchmark"]["runtimes"] = ["torch-eager-fp32", "onnxruntime-fp32"]
    tiny_values["resources"] = {"warm_start": False}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_values))
    return tmp_path / "params.yaml"


def test_a_plan_lists_what_is_left_and_names_the_runtime_that_is_missing(params: Path, run: Run, hide: Hide) -> None:
    hide("onnxruntime", "onnx")
    result = run("plan", "--params", params, "--results", params.parent / "results")
    said = "runtime 'onnxruntime-fp32' needs onnxruntime and onnx: pip install 'distilgrid[onnx]'"
    assert said in one_line(result)
    assert "to do  exports/" in result[1]


def test_a_report_that_cannot_be_written_is_missed_as_well(params: Path, run: Run, hide: Hide) -> None:
    hide("matplotlib")
    said = one_line(run("plan", "--params", params, "--results", params.parent / "results"))
    assert "a report needs matplotlib: pip install 'distilgrid[report]'" in said


def test_a_search_names_its_controller_and_its_runtime(tmp_path: Path, tiny_values: dict[str, Any], hide: Hide) -> None:
    space = {"layers": [1, 2], "hidden": [16], "heads": [4], "feed_forward": [16]}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    search = {"space": str(tmp_path / "space.yaml"), "controller": {"kind": "optuna"}}
    search |= {"estimator": {"kind": "mini_kd"}, "reward": {"kind": "score-latency"}}
    predicted = {**search, "controller": {"kind": "random"}, "latency": {"source": "predicted"}}
    tiny_values["searches"] = {"timed": search, "predicted": predicted}
    tiny_values["grid"]["searches"] = ["timed", "predicted"]
    plan = expand(parse_params(tiny_values, origin="test"))
    searches = {each.labels["search"]: each for each in plan.of("search")}
    check_machine(plan.artefacts.values())
    hide("optuna")
    with pytest.raises(UserError, match="controller 'optuna' needs optuna"):
        check_machine([searches["timed"]])
    hide("onnxruntime")
    for left in (searches["timed"], *plan.of("latency")):
        with pytest.raises(UserError, match="runtime 'onnxruntime-fp32' needs onnxruntime"):
            check_machine([left])
    check_machine([searches["predicted"]])


def test_candidates_that_are_jobs_need_what_their_search_needs(
    tmp_path: Path, tiny_values: dict[str, Any], hide: Hide
) -> None:
    space = {"layers": [1, 2], "hidden": [16], "heads": [4], "feed_forward": [16]}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    search = {"space": str(tmp_path / "space.yaml"), "controller": {"kind": "optuna"}, "episodes": 1, "candidates": 1}
    search |= {"estimator": {"kind": "mini_kd"}, "reward": {"kind": "score-latency"}}
    tiny_values |= {"searches": {"timed": search}, "resources": {"candidate_jobs": True}}
    tiny_values["grid"]["searches"] = ["timed"]
    plan = expand(parse_params(tiny_values, origin="test"))
    hide("optuna")
    with pytest.raises(UserError, match="controller 'optuna' needs optuna"):
        check_machine(plan.of("candidate"))


@pytest.mark.chain
@pytest.mark.parametrize(("stage", "code"), [("export", 2), ("distill", 0)])
def test_a_workflow_starts_only_jobs_that_can_end(params: Path, stage: str, code: int) -> None:
    command = [sys.executable, "-c", START, str(params), stage]
    done = subprocess.run(command, cwd=params.parent, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("runtime 'onnxruntime-fp32' needs onnxruntime" in done.stderr) is bool(code)
    assert ("started" in done.stdout) is not bool(code)
