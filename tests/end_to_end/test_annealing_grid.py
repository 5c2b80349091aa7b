"""A grid of texts and images through Snakemake: annealed stages, a chain of assistants, tuning on dev, views."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from distilgrid.core.schema import deep_merge

pytestmark = pytest.mark.slow

VALUES = {
    "grid": {
        "name": "annealed",
        "tasks": ["reviews", "digits"],
        "teachers": ["tiny", "resnet-14"],
        "methods": ["finetune", "kd", "takd", "annealing-kd"],
        "baselines": [],
        "students": ["quarter", "resnet-8"],
        "seeds": [0, 1],
    },
    "data": {"max_train_rows": 100, "max_dev_rows": 30, "max_validation_rows": 40},
    "teachers": {"resnet-14": {"source": "new:resnet-14", "training": {"views": {"shift": 1}}}},
    "students": {
        "half": {"layers": 2},
        "quarter": {"layers": 1},
        "plain-2": {"source": "new:plain-2", "training": {"views": {"shift": 1}}},
        "resnet-8": {"source": "new:resnet-8", "training": {"views": {"shift": 1}}},
    },
    "methods": {
        "kd": {"tuning": {"alpha": [0.2, 0.8], "temperature": [2]}},
        "takd": {"objective": "takd", "assistants": ["half", "plain-2"]},
        "annealing-kd": {"tau_max": 2, "stage1": {"epochs": 2}, "stage2": {"epochs": 1}},
    },
    "training": {"watch_validation": True},
    "benchmark": {"runtimes": ["torch-eager-fp32"], "lengths": [8]},
}


@pytest.fixture(scope="module")
def grid(
    new_project: Callable[[Path], Any], tiny_defaults: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The finished grid."""
    project = new_project(tmp_path_factory.mktemp("annealed") / "project")
    project.write(deep_merge(tiny_defaults, VALUES))
    project.snakemake()
    return project


def metrics(grid: Any, pattern: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(grid.folder.glob(f"results/{pattern}/metrics.json"))]


def test_each_task_has_the_cells_that_fit_it(grid: Any) -> None:
    table = pd.read_csv(next(grid.folder.glob("results/reports/*/table.csv")))
    students = table[table["method"] != "teacher"]
    cells = set(zip(students["task"], students["student"], students["method"], strict=True))
    pairs = {"reviews": "quarter", "digits": "resnet-8"}
    methods = {"finetune", "kd", "takd", "annealing-kd"}
    assert cells == {(task, student, method) for task, student in pairs.items() for method in methods}
    assert set(students["seeds"]) == {2}


@pytest.mark.parametrize("task", ["reviews", "digits"])
def test_stages_chains_and_tuning_left_their_marks(grid: Any, task: str) -> None:
    annealed = metrics(grid, f"students/{task}/*/annealing-kd/**/seed-*")
    assert [[phase["name"] for phase in found["phases"]] for found in annealed] == [["stage-1", "stage-2"]] * 2
    assistants = metrics(grid, f"students/{task}/*/takd/{'half' if task == 'reviews' else 'plain-2'}/**/seed-*")
    assert len(assistants) == 1
    tuned = metrics(grid, f"students/{task}/*/kd/**/seed-*")
    assert tuned[0]["tuning"] == tuned[1]["tuning"]
    assert len(tuned[0]["tuning"]["tried"]) == len(metrics(grid, f"students/{task}/*/kd.*/**/seed-*")) == 2
    assert all(found["teacher_forwards"] == 0 for found in metrics(grid, f"students/{task}/**/seed-*"))
    assert all(found["optimistic_score"] >= found["score"] - 1e-9 for found in annealed if task == "digits")


def test_the_teachers_outputs_on_views_are_recorded_once_for_each_instructor(grid: Any) -> None:
    folders = list(grid.folder.glob("results/teacher-outputs/digits/**/manifest.json"))
    found = [json.loads(path.read_text()) for path in folders]
    assert [manifest["kind"] for manifest in found] == ["view-logits"] * 2
    assert {manifest["epochs"] for manifest in found} == {2}


def test_a_second_run_has_nothing_to_do(grid: Any) -> None:
    done = grid.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr


def test_the_plan_says_that_all_is_done(grid: Any) -> None:
    said = grid.run("python", "-m", "distilgrid", "plan").stdout
    assert "to do" not in said and "nothing to be done" in said
