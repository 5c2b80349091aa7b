"""A method from a package of its own: installed next to the project, planned, trained and reported; no file changes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from distilgrid.core.schema import deep_merge

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


def installed(folder: Path) -> Path:
    """The example package, built from a copy of it and installed into a folder."""
    shutil.copytree(PLUGIN, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    target = folder / "site"
    command += ["--target", str(target), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def project(
    new_project: Callable[[Path], Any], tiny_defaults: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The finished grid of kd and dkd, in an environment with the package."""
    folder = tmp_path_factory.mktemp("plugin")
    made = new_project(folder / "project")
    plain, site = made.environment, installed(folder)
    made.environment = lambda: plain() | {"PYTHONPATH": f"{plain()['PYTHONPATH']}{os.pathsep}{site}"}
    grid = {"name": "plugin", "methods": ["kd", "dkd", "dkd-even"], "baselines": [], "seeds": [0]}
    methods = {"dkd-even": {"objective": "dkd", "beta": 1.0, "warmup": 1}}
    few = {"runtimes": ["torch-eager-fp32"], "lengths": [8]}
    made.write(deep_merge(tiny_defaults, {"grid": grid, "methods": methods, "benchmark": few}))
    made.snakemake()
    return made


@pytest.mark.slow
def test_the_method_is_trained_from_the_shared_recording(project: Any) -> None:
    recordings = list(project.folder.glob("results/teacher-outputs/**/manifest.json"))
    assert len(recordings) == 1, "kd and dkd learn from the same logits"
    for name in ("dkd", "dkd-even"):
        (history,) = project.folder.glob(f"results/students/*/*/{name}/**/history.parquet")
        terms = set(pd.read_parquet(history)["name"])
        assert {"hard", "target", "others"} <= terms
        recipe = json.loads((history.parent / "run.json").read_text())["recipe"]["method"]
        assert recipe == {
            "objective": "dkd",
            "alpha": 1.0,
            "beta": 8.0 if name == "dkd" else 1.0,
            "temperature": 4.0,
            "warmup": 0 if name == "dkd" else 1,
            "version": 1,
        }


@pytest.mark.slow
def test_the_method_is_in_the_report_and_in_the_schema(project: Any) -> None:
    table = pd.read_csv(next(project.folder.glob("results/reports/*/table.csv")))
    assert {"kd", "dkd", "dkd-even"} <= set(table["method"])
    schema = json.loads(project.run(sys.executable, "-m", "distilgrid", "schema").stdout)
    assert schema["$defs"]["DKD"]["properties"]["beta"]["default"] == 8.0


@pytest.mark.slow
def test_without_the_package_the_method_is_unknown(
    project: Any, new_project: Callable[[Path], Any], tmp_path: Path
) -> None:
    bare = new_project(tmp_path / "bare")
    bare.write(project.values)
    done = bare.run(sys.executable, "-m", "distilgrid", "plan", check=False)
    assert done.returncode == 2
    assert "methods.dkd-even.objective: unknown objective 'dkd'" in done.stderr
    assert "Traceback" not in done.stderr
