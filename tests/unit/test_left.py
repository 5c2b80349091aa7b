"""What is wrong with an artefact at a quick look, and a report that shows what is gone."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.command_line import Run

from distilgrid.audit import left as module
from distilgrid.audit.left import damage, left, roots
from distilgrid.core.artefacts import RUN, verified, writing
from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params


def make(results: Path, artefact: Artefact, *, text: str = "") -> None:
    with writing(results / artefact.folder, recipe=artefact.recipe, labels=artefact.labels) as scratch:
        for source in artefact.each_input():
            verified(results / source.folder)
        for name in artefact.files:
            if name != RUN:
                (scratch / name).write_text(name + text)


@pytest.fixture
def grid(tmp_path: Path, tiny_values: dict[str, Any]) -> tuple[Plan, Path]:
    plan = expand(parse_params(tiny_values, origin="test"))
    for artefact in plan.artefacts.values():
        make(tmp_path / "results", artefact)
    return plan, tmp_path / "results"


def said(found: dict[str, module.Left]) -> dict[str, str]:
    return {each.artefact.stage: f"{each.state} {each.why}".strip() for each in found.values()}


def test_nothing_is_left_of_a_finished_grid(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    assert left(plan, results=results) == {}


def test_of_a_new_grid_the_report_is_asked_for(tmp_path: Path, grid: tuple[Plan, Path]) -> None:
    plan, _ = grid
    found = left(plan, results=tmp_path / "absent")
    assert found.keys() == plan.artefacts.keys()
    assert roots(found) == [plan.report]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"files": {}}', '{"stage": 1, "files": []}'])
def test_a_record_that_says_nothing_is_damaged(grid: tuple[Plan, Path], text: str) -> None:
    plan, results = grid
    (results / plan.teachers[0].folder / RUN).write_text(text)
    assert said(left(plan, results=results))["finetune"] == "damaged run.json is damaged"


def test_an_artefact_of_another_recipe_in_its_place_is_damaged(grid: tuple[Plan, Path]) -> None:
    """A copy of another folder is whole in itself, but readers refuse it."""
    plan, results = grid
    one, other = (results / student.folder for student in plan.students[:2])
    shutil.rmtree(other)
    shutil.copytree(one, other)
    assert said(left(plan, results=results))["distill"].startswith("damaged run.json is that of another recipe, ")


@pytest.mark.parametrize("older", [False, True], ids=["now", "older"])
def test_a_record_that_was_edited_is_damaged(grid: tuple[Plan, Path], older: bool) -> None:
    """Readers refuse it, so it is left. Older records have no fingerprint of their own."""
    plan, results = grid
    path = results / plan.teachers[0].folder / RUN
    run = json.loads(path.read_text())
    run["recipe"]["training"]["epochs"] = 99
    path.write_text(json.dumps({name: value for name, value in run.items() if name != "fingerprint" or not older}))
    assert said(left(plan, results=results))["finetune"] == "damaged run.json is damaged"


def test_a_large_file_is_read_when_it_changed_after_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with writing(tmp_path / "data", recipe={"stage": "prepare"}, labels={}) as scratch:
        (scratch / "large").write_bytes(bytes(module.SMALL + 1))
    large = tmp_path / "data/large"
    monkeypatch.setattr(module, "file_sha256", lambda path: pytest.fail(f"{path} was read"))
    assert damage(tmp_path / "data") == ""
    monkeypatch.undo()
    os.utime(large)
    assert damage(tmp_path / "data") == "", "a copy has later time stamps, and the same content"
    large.write_bytes(bytes(module.SMALL + 2))
    assert damage(tmp_path / "data") == "large was changed or cut short"


def test_what_may_not_be_read_does_not_pass_for_absent(grid: tuple[Plan, Path], bound_by_modes: None) -> None:
    plan, results = grid
    folder = results / plan.students[0].folder
    folder.chmod(0)
    try:
        with pytest.raises(UserError, match="Permission denied"):
            left(plan, results=results)
    finally:
        folder.chmod(0o700)


def test_a_report_waits_for_what_it_shows(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    recorded = plan.of("record")[0]
    (results / recorded.folder / RUN).unlink()
    found = left(plan, results=results)
    assert said(found) == {"record": "absent", "report": f"outdated {recorded.folder} is made again"}
    asked = {recorded.folder, plan.report.folder} - {source.folder for source in plan.report.each_input()}
    assert {each.folder for each in roots(found)} == asked


def test_a_report_is_older_than_what_was_made_again_by_hand(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    (benchmark,) = plan.of("benchmark")
    make(results, benchmark)
    assert left(plan, results=results) == {}, "the same content as before"
    make(results, benchmark, text=" of today")
    assert said(left(plan, results=results)) == {"report": f"outdated {benchmark.folder} was made again"}
    make(results, plan.report)
    assert left(plan, results=results) == {}


def test_plan_names_the_damage_and_what_mlflow_lacks(grid: tuple[Plan, Path], run: Run, tmp_path: Path) -> None:
    plan, results = grid
    params = tmp_path / "given.yaml"
    params.write_text(json.dumps(plan.params.model_dump(mode="json")))
    words = ("plan", "--params", params, "--results", results)
    assert run(*words, "--check")[:2] == (0, "not in MLflow yet (`distilgrid track`), else nothing to be done\n")
    (results / plan.tracking).mkdir(parents=True)
    (results / plan.tracking / "summary.json").write_text("{}")
    assert run(*words, "--check")[:2] == (0, "nothing to be done\n")
    (results / plan.students[0].folder / "metrics.json").write_text("{}")
    line = f"to do  {plan.students[0].folder}  <- metrics.json was changed or cut short"
    assert line in run(*words)[1].splitlines()
    assert run(*words, "--check")[0] == 1
