"""DVC over the workflow: a run leaves nothing stale, results travel to a fresh clone, no wrong number is locked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml


def dvc(project: Any, *arguments: str, check: bool = True) -> str:
    done = project.run("dvc", *arguments, check=check)
    return str(done.stdout + done.stderr)


def committed(project: Any, message: str) -> None:
    project.run("git", "add", "-A")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", message)


@pytest.fixture
def versioned(changeable: Any) -> Any:
    """The finished grid, recorded in DVC by the documented command."""
    (changeable.folder / ".gitignore").write_text("/results\n/.snakemake\n")
    changeable.run("git", "init", "-q")
    dvc(changeable, "init", "-q")
    shutil.copytree(Path(__file__).parents[2] / ".dvc/plots", changeable.folder / ".dvc/plots")
    changeable.run("python", "-m", "distilgrid", "publish")
    dvc(changeable, "commit", "-f")
    committed(changeable, "first results")
    return changeable


def test_after_a_snakemake_run_dvc_trains_nothing(versioned: Any) -> None:
    assert "up to date" in dvc(versioned, "status")
    runs = {path: path.stat().st_mtime_ns for path in versioned.folder.glob("results/**/run.json")}
    assert "up to date" in dvc(versioned, "repro")
    assert runs == {path: path.stat().st_mtime_ns for path in versioned.folder.glob("results/**/run.json")}


def test_metrics_params_and_plots_can_be_compared(versioned: Any) -> None:
    shown = json.loads(versioned.run("dvc", "metrics", "show", "--json").stdout)
    assert "reviews" in json.dumps(shown)
    grid = versioned.values["grid"] | {"seeds": [0]}
    versioned.write(versioned.values | {"report": {"bootstrap_samples": 300}, "grid": grid})
    assert "bootstrap_samples" in dvc(versioned, "params", "diff")
    dvc(versioned, "repro")
    difference = json.loads(versioned.run("dvc", "metrics", "diff", "--json").stdout)
    assert "reviews" in json.dumps(difference), "one seed instead of two changes the means"
    dvc(versioned, "plots", "show")
    assert "value" in (versioned.folder / "dvc_plots/index.html").read_text()


def test_pulled_results_are_complete_and_a_changed_parameter_is_noticed(
    versioned: Any, new_project: Any, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    dvc(versioned, "remote", "add", "-d", "local", str(remote))
    committed(versioned, "remote")
    dvc(versioned, "push")
    clone = new_project(tmp_path / "clone")
    clone.run("rm", "-rf", str(clone.folder))
    versioned.run("git", "clone", "-q", str(versioned.folder), str(clone.folder))
    dvc(clone, "pull")
    done = clone.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr

    values = yaml.safe_load((clone.folder / "params.yaml").read_text())
    values["methods"]["pkd"]["beta"] = 5.0
    clone.write(values)
    assert clone.jobs() == {"distill": 2, "export": 2, "write_report": 1, "track": 1}
    dvc(clone, "repro", "students")
    betas = [
        json.loads(path.read_text())["recipe"]["method"].get("beta")
        for path in clone.folder.glob("results/students/*/*/pkd/**/run.json")
    ]
    assert sorted(betas) == [5.0, 5.0, 10.0, 10.0]


@pytest.mark.slow
def test_dvc_alone_makes_the_same_grid(project: Any, finished: Any) -> None:
    (project.folder / ".gitignore").write_text("/results\n/.snakemake\n")
    project.run("git", "init", "-q")
    dvc(project, "init", "-q")
    dvc(project, "repro")
    weights = sorted(path.relative_to(project.folder) for path in project.folder.glob("results/**/*.safetensors"))
    assert len(weights) == 9, "six students, a teacher, two recordings"
    assert all((project.folder / path).read_bytes() == (finished.folder / path).read_bytes() for path in weights)
