"""Whole grids where folders, clocks and neighbours are not as one wishes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilgrid.core.artefacts import verified

ODD = "Übung - mit 'Leer'zeichen & $HOME 🙂"


def scores(project: Any) -> Any:
    """The scores of the report, by model."""
    (path,) = project.folder.glob("results/reports/*/metrics.json")

    def without_times(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: without_times(inner) for key, inner in value.items() if key != "latency_ms"}

    return without_times(json.loads(path.read_text()))


@pytest.mark.slow
def test_a_project_may_lie_anywhere(finished: Any, new_project: Callable[[Path], Any], tmp_path: Path) -> None:
    project = new_project(tmp_path / ODD)
    project.snakemake()
    assert scores(project) == scores(finished)
    assert "nothing to be done" in project.run(sys.executable, "-m", "distilgrid", "plan").stdout


def test_time_stamps_decide_nothing(changeable: Any) -> None:
    made = [path for path in changeable.folder.glob("results/**/*") if path.is_file()]
    for number, path in enumerate(made):
        os.utime(path, (when := (1, time.time() - 1e8, 4e9)[number % 3], when))
    assert changeable.jobs() == {}


@pytest.mark.slow
def test_what_is_made_from_files_of_the_future_stays(changeable: Any) -> None:
    for path in changeable.folder.glob("results/**/*"):
        os.utime(path, (4e9, 4e9))
    (export,) = changeable.folder.glob("results/exports/teachers/**/onnxruntime-fp32-*/run.json")
    export.unlink()
    for said in ("1 of 1 steps", "Nothing to be done"):
        assert said in changeable.snakemake("--", str(export.relative_to(changeable.folder))).stderr
    verified(export.parent, stage="export")


@pytest.mark.slow
def test_a_second_snakemake_is_refused_and_the_first_goes_on(project: Any, finished: Any) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--", "teachers"]
    options: dict[str, Any] = {"cwd": project.folder, "env": project.environment(), "text": True}
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    limit = time.monotonic() + 60
    while not list(project.folder.glob(".snakemake/locks/*.lock")):
        assert time.monotonic() < limit
        time.sleep(0.1)
    second = project.snakemake("--", "teachers", check=False)
    assert second.returncode == 1
    assert "distilgrid: another Snakemake is at work in this folder" in second.stderr
    assert "Traceback" not in second.stderr
    said, _ = first.communicate(timeout=300)
    assert first.returncode == 0, said
    assert project.jobs("--", "teachers") == {}
    (ours,), (theirs,) = (p.folder.glob("results/teachers/**/model.safetensors") for p in (project, finished))
    assert ours.read_bytes() == theirs.read_bytes()
