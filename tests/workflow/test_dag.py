"""The workflow's shape: lint, dry runs, counts of jobs, and what a changed parameter makes anew."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from distilgrid.plan.params import load_params
from distilgrid.stages.table import STAGES

EVERYTHING = {
    "prepare": 1,
    "finetune": 1,
    "record": 2,
    "distill": 6,
    "export": 8,
    "benchmark": 1,
    "write_report": 1,
    "track": 1,
}


def test_lint_is_clean(project: Any) -> None:
    done = project.run(sys.executable, "-m", "snakemake", "--lint")
    assert "good condition" in done.stdout + done.stderr


def test_a_dry_run_plans_every_cell(project: Any) -> None:
    assert project.jobs() == EVERYTHING


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("data", {"prepare"}),
        ("teachers", {"prepare", "finetune", "record"}),
        ("students", {"prepare", "finetune", "record", "distill"}),
        ("benchmarks", {"prepare", "finetune", "record", "distill", "export", "benchmark"}),
        ("report", set(EVERYTHING) - {"track"}),
    ],
)
def test_named_targets_ask_for_a_part(project: Any, target: str, rules: set[str]) -> None:
    assert set(project.jobs("--", target)) == rules


def test_an_overlay_states_only_differences(project: Any) -> None:
    overlay = project.folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"grid": {"seeds": [0, 1, 2], "methods": ["finetune", "kd"]}}))
    assert project.jobs("--configfile", "overlay.yaml") == EVERYTHING | {"record": 1, "export": 6}


def test_features_are_made_of_augmented_rows_where_the_report_wants_them(project: Any) -> None:
    values = project.values | {"augmentations": {"eda": {"kind": "eda", "synonym": 0, "insert": 0}}}
    grid = {"methods": ["tmkd"], "baselines": [], "augmentations": ["eda"], "seeds": [0]}
    project.write(values | {"grid": values["grid"] | grid, "report": {"features": {"projection": "tsne"}}})
    jobs = project.jobs()
    assert (jobs["augment"], jobs["features"], jobs["write_report"]) == (1, 1, 1)
    assert "features" not in project.jobs("--", "students")


def test_searches_come_before_the_students_that_they_shape(project: Any) -> None:
    (project.folder / "space.yaml").write_text("layers: [1, 2]\nhidden: [8]\nheads: [2]\nfeed_forward: [16]\n")
    search = {"space": "space.yaml", "controller": {"kind": "random"}, "reward": {"kind": "score-latency"}}
    searches = {
        "mini": search | {"estimator": {"kind": "mini_kd"}, "seeds": [0, 1]},
        "slices": search | {"estimator": {"kind": "supernet"}, "latency": {"source": "predicted", "architectures": 8}},
    }
    grid = {"methods": ["kd"], "baselines": [], "seeds": [0], "students": ["found"], "searches": ["slices"]}
    students = {"found": {"found": {"search": "mini", "seed": 1}}}
    values = {"grid": project.values["grid"] | grid, "searches": searches, "students": students}
    project.write(project.values | values)
    jobs = project.jobs("--", "students")
    assert (jobs["search"], jobs["distill"]) == (1, 1), "only the search that a student comes from"
    assert "supernet" not in jobs and "latency" not in jobs
    jobs = project.jobs()
    assert (jobs["search"], jobs["supernet"], jobs["latency"]) == (2, 1, 1)
    assert project.jobs("--", "searches")["search"] == 2


def test_the_default_grid_is_the_promised_one(project: Any) -> None:
    project.write(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text()))
    assert project.jobs()["distill"] == 24, "2 tasks x 3 methods x 2 students x 2 seeds"


@pytest.mark.parametrize(
    ("section", "value", "line"),
    [
        ("grid", {"sede": [0]}, "params.yaml: grid.sede: unknown key; did you mean 'seeds'?"),
        ("methods", {"kd": {"objective": "kd", "alpah": 1}}, "methods.kd.alpah: unknown key; did you mean 'alpha'?"),
        ("tasks", {"reviews": {"source": "csv:nowhere.csv", "text": ["text"]}}, "nowhere.csv: no such file"),
    ],
)
def test_bad_parameters_end_in_one_line_and_exit_code_2(project: Any, section: str, value: Any, line: str) -> None:
    project.write(project.values | {section: project.values[section] | value})
    done = project.snakemake("--dry-run", check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    complaints = [text for text in done.stderr.splitlines() if text.startswith("distilgrid:")]
    assert len(complaints) == 1
    assert line in complaints[0]


def test_values_within_config_are_numbers_and_switches(project: Any) -> None:
    project.snakemake("--dry-run", "--config", 'resources={"processes": 2, "warm_start": false}', "grid={seeds: [5]}")
    (frozen,) = (project.folder / "results/.params").glob("*.yaml")
    params = load_params([frozen])
    assert (params.resources.processes, params.resources.warm_start, params.grid.seeds) == (2, False, [5])


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("training: {epochs: 1}\nreport: {}\ntraining: {epochs: 2}\n", "own.yaml: line 3: the key 'training' is there"),
        ("training: {learning_rate: 1e-4, epochs: yes}\n", "params.yaml + own.yaml: training.epochs: "),
    ],
)
def test_snakemake_reads_files_as_every_other_command_does(project: Any, above: str, line: str) -> None:
    (project.folder / "own.yaml").write_text(above)
    done = project.snakemake("--dry-run", "--configfile", "own.yaml", check=False)
    assert done.returncode == 2
    assert [text for text in done.stderr.splitlines() if line in text], done.stderr


def test_a_projects_file_of_comments_leaves_all_to_the_files_on_top(project: Any) -> None:
    (project.folder / "params.yaml").rename(project.folder / "own.yaml")
    (project.folder / "params.yaml").write_text("# all of it lies in own.yaml\n")
    assert project.jobs("--configfile", "own.yaml") == EVERYTHING


def test_dvc_records_nothing_before_it_was_checked() -> None:
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        assert re.search(r"snakemake --cores all -- \w+ && python -m distilgrid verify --part --cells 0", stage["cmd"])
    sync = (ROOT / "Makefile").read_text().partition("\ndvc-sync:")[2].partition("\n\n")[0].splitlines()
    assert [line.partition("distilgrid ")[2] for line in sync[1:3]] == ["verify --part --cells 0", "publish"]
    assert sync[-1].endswith("dvc commit -f")


def test_every_output_of_dvc_is_the_folder_of_a_stage_which_publish_makes() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outs = {
        path for stage in stages.values() for out in stage["outs"] for path in (out if isinstance(out, dict) else [out])
    }
    folders = {path.removeprefix("results/") for path in outs if "latest" not in path}
    assert folders == {"tracking", *(stage.folder for stage in STAGES.values())}
