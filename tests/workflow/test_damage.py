"""What `distilgrid plan` calls left after damage, the workflow makes: no more, no less."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilgrid.audit.left import left
from distilgrid.core.artefacts import RUN, STATE, writing
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import load_params
from distilgrid.stages.table import STAGES

EXTRA = "extra.bin"  # a file of an artefact that its rule does not name, as a tokeniser's


def cut_short(folder: Path) -> None:
    """The first of its own files loses its end."""
    names = sorted(json.loads((folder / RUN).read_text())["files"].keys() - {EXTRA})
    text = (folder / names[0]).read_text()
    (folder / names[0]).write_text(text[:-1])


def half_written(folder: Path) -> None:
    """A job was killed while its files moved, as it trained it anew."""
    (folder / RUN).unlink()
    (folder / ".scratch-7").mkdir()
    (folder / STATE).mkdir()
    (folder / STATE / "state").write_text("torn")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "folder gone": shutil.rmtree,
    "record gone": lambda folder: (folder / RUN).unlink(),
    "record torn": lambda folder: (folder / RUN).write_text('{"files": {'),
    "named file gone": lambda folder: (folder / next(iter(named(folder)))).unlink(),
    "other file gone": lambda folder: (folder / EXTRA).unlink(),
    "file cut short": cut_short,
    "file changed": lambda folder: (folder / EXTRA).write_text("another one"),
    "half written": half_written,
}


def named(folder: Path) -> set[str]:
    return json.loads((folder / RUN).read_text())["files"].keys() - {EXTRA}


@pytest.fixture(scope="module")
def whole(new_project: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Plan]:
    """A project in which every stage has made an artefact, of texts in place of models."""
    project = new_project(tmp_path_factory.mktemp("whole") / "project")
    (project.folder / "space.yaml").write_text("layers: [1, 2]\nhidden: [8]\nheads: [2]\nfeed_forward: [16]\n")
    search = {"space": str(project.folder / "space.yaml"), "controller": {"kind": "random"}}
    search |= {"reward": {"kind": "score-latency"}}
    predicted = {"source": "predicted", "architectures": 8}
    searches = {
        "mini": search | {"estimator": {"kind": "mini_kd"}, "processes": "jobs"},
        "slices": search | {"estimator": {"kind": "supernet"}, "latency": predicted},
    }
    searches["mini"].pop("processes")
    methods = {"methods": ["kd", "tmkd"], "baselines": [], "augmentations": ["eda"], "seeds": [0]}
    grid = {**methods, "students": ["half", "found"], "searches": ["slices"]}
    students = project.values["students"] | {"found": {"found": {"search": "mini"}}}
    augmentations = {"eda": {"kind": "eda", "synonym": 0, "insert": 0}}
    changes = {"searches": searches, "students": students, "augmentations": augmentations}
    report = project.values["report"] | {"features": {"projection": "tsne"}}
    project.write(project.values | changes | {"grid": project.values["grid"] | grid, "report": report})
    plan = expand(load_params([project.folder / "params.yaml"]))
    for artefact in plan.artefacts.values():
        finish(project.folder / "results", artefact)
    (project.folder / "results" / plan.tracking).mkdir(parents=True)
    (project.folder / "results" / plan.tracking / "summary.json").write_text("{}")
    return project, plan


def finish(results: Path, artefact: Artefact) -> None:
    with writing(results / artefact.folder, recipe=artefact.recipe, labels=artefact.labels) as scratch:
        for name in {*artefact.files, EXTRA} - {RUN}:
            (scratch / name).write_text(f"{name} of {artefact.folder}")


def jobs(project: Any) -> tuple[set[str], set[str]]:
    """The folders that a dry run would make, and its rules."""
    said = project.snakemake("--dry-run", "--printshellcmds").stdout
    rules = set(re.findall(r"^(\w+) +\d+$", said.partition("Job stats:")[2].partition("total")[0], re.MULTILINE))
    return {folder.removeprefix("results/") for folder in re.findall(r"--out (results/\S+-[0-9a-f]{12}) ", said)}, rules


def test_a_whole_grid_of_every_stage_has_nothing_to_do(whole: tuple[Any, Plan]) -> None:
    project, plan = whole
    assert {artefact.stage for artefact in plan.artefacts.values()} == STAGES.keys() - {"candidate"}
    assert jobs(project) == (set(), set())


@pytest.mark.parametrize(("number", "damage"), [*enumerate(DAMAGES)])
def test_what_the_plan_calls_left_the_workflow_makes(
    whole: tuple[Any, Plan], number: int, damage: str, tmp_path: Path
) -> None:
    """A third of the stages at a time, so that a stage is also damaged without those that read it."""
    project, plan = whole
    results = project.folder / "results"
    shutil.copytree(results, tmp_path / "results")
    damaged = {s: plan.of(s)[0] for place, s in enumerate(STAGES) if plan.of(s) and (place + number) % 3 == 0}
    try:
        for artefact in damaged.values():
            DAMAGES[damage](results / artefact.folder)
        wanted = {*left(plan, results=results)}
        assert wanted == {artefact.folder for artefact in damaged.values()} | {plan.report.folder}
        made, rules = jobs(project)
        assert made == wanted
        assert "track" in rules, "MLflow shows what the new report does"
    finally:
        shutil.rmtree(results)
        shutil.move(tmp_path / "results", results)
