"""DVC over the workflow: a run leaves nothing stale, results travel to a fresh clone, no wrong number is locked."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

# Figures of a run rather than of a model.
MEASURED = {
    *("latency_ms", "peak_fraction", "peak_memory_mib", "time_split"),
    *("tokens_per_second", "train_seconds"),
}


def test_after_a_snakemake_run_dvc_trains_nothing(versioned: Any) -> None:
    assert "up to date" in versioned.dvc("status")
    before = versioned.made()
    assert "up to date" in versioned.dvc("repro")
    assert versioned.made() == before


def test_metrics_params_and_plots_can_be_compared(versioned: Any) -> None:
    shown = json.loads(versioned.run("dvc", "metrics", "show", "--json").stdout)
    assert "reviews" in json.dumps(shown)
    grid = versioned.values["grid"] | {"seeds": [0]}
    versioned.write(versioned.values | {"report": {"bootstrap_samples": 300}, "grid": grid})
    assert "bootstrap_samples" in versioned.dvc("params", "diff")
    versioned.dvc("repro")
    difference = json.loads(versioned.run("dvc", "metrics", "diff", "--json").stdout)
    assert "reviews" in json.dumps(difference), "one seed instead of two changes the means"
    versioned.dvc("plots", "show")
    assert "value" in (versioned.folder / "dvc_plots/index.html").read_text()


def test_pulled_results_are_complete_and_a_changed_parameter_is_noticed(versioned: Any, tmp_path: Path) -> None:
    versioned.dvc("remote", "add", "-d", "local", str(tmp_path / "remote"))
    versioned.commit("remote")
    versioned.dvc("push")
    clone = versioned.clone(tmp_path / "clone")
    clone.dvc("pull")
    done = clone.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr

    values = yaml.safe_load((clone.folder / "params.yaml").read_text())
    values["methods"]["pkd"]["beta"] = 5.0
    clone.write(values)
    assert clone.jobs() == {"distill": 2, "export": 2, "write_report": 1, "track": 1}
    clone.dvc("repro", "students")
    betas = [
        json.loads(path.read_text())["recipe"]["method"].get("beta")
        for path in clone.folder.glob("results/students/*/*/pkd/**/run.json")
    ]
    assert sorted(betas) == [5.0, 5.0, 10.0, 10.0]


def unmeasured(found: Any) -> Any:
    """Metrics without what differs from one run to the next."""
    if isinstance(found, dict):
        return {name: unmeasured(value) for name, value in found.items() if name not in MEASURED}
    return found


def metrics(folder: Path, pattern: str) -> dict[str, Any]:
    """Metrics of each artefact that a pattern finds, by its path under the folder."""
    files = sorted(folder.glob(pattern))
    return {str(path.relative_to(folder)): unmeasured(json.loads(path.read_text())) for path in files}


def grid_metrics(folder: Path) -> list[dict[str, Any]]:
    """Metrics of all teachers, all students and the report of a project's only grid, by path."""
    return [metrics(folder, f"results/{stage}/**/metrics.json") for stage in ("teachers", "students", "reports")]


@pytest.mark.slow
def test_the_default_grid_is_the_same_by_snakemake_and_by_dvc(new_project: Any, tmp_path: Path) -> None:
    """An hour on two cores: `make reproduce`'s whole chain, twice."""
    made = []
    for name in ("snakemake", "dvc"):
        project = new_project(tmp_path / name)
        project.write(yaml.safe_load(Path("params.yaml").read_text()))
        project.patience = 3 * 3600.0
        if name == "dvc":
            project.versioned()
            project.dvc("repro")
        else:
            project.snakemake()
        made.append(grid_metrics(project.folder))
    assert [len(found) for found in made[0]] == [2, 24, 1]
    assert made[0] == made[1]


@pytest.mark.slow
def test_dvc_alone_makes_the_same_grid(project: Any, finished: Any) -> None:
    project.versioned()
    project.dvc("repro")
    weights = sorted(path.relative_to(project.folder) for path in project.folder.glob("results/**/*.safetensors"))
    assert len(weights) == 9, "six students, a teacher, two recordings"
    assert all((project.folder / path).read_bytes() == (finished.folder / path).read_bytes() for path in weights)

    teachers, students, report = grid_metrics(project.folder)
    assert (len(teachers), len(students)) == (1, 6)
    assert all("score" in found and "validation" in found for found in [*teachers.values(), *students.values()])
    assert len(report) == 1
    assert [teachers, students, report] == grid_metrics(finished.folder)
