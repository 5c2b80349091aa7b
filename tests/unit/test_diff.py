"""`distilgrid diff`: every changed score has its cause beside it, and nothing else is called changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.relisted import remade, rerecorded
from typer.testing import CliRunner

from distilgrid.audit.diff import Comparison, as_json, as_text, compare, open_side
from distilgrid.cli.app import app
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import Plan

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("undrawn")]

MODELS = 2 * (1 + 2 * 2 * 2)  # of two tasks: a teacher, and two methods, students and seeds


def reported(tmp_path: Path, **changes: Any) -> tuple[Plan, Path]:
    """A fabricated grid with its report; returns the report's folder."""
    plan, results = fabricate_results(tmp_path, **changes)
    out = results / plan.report.folder
    report(plan=plan, results=results, out=out)
    return plan, out


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, undrawn: None) -> Path:
    return reported(tmp_path_factory.mktemp("usual"))[1]


def against(usual: Path, tmp_path: Path, **overlay: Any) -> Comparison:
    return compare(open_side(usual), open_side(reported(tmp_path / "other", overlay=overlay)[1]))


def causes(comparison: Comparison) -> dict[str, set[str]]:
    """By method, what changed its cells."""
    found: dict[str, set[str]] = {}
    for pair in comparison.pairs:
        found.setdefault(pair.place[2], set()).update(f"{change.kind}: {change.what}" for change in pair.why)
    return found


def test_a_grid_differs_in_nothing_from_itself(usual: Path) -> None:
    comparison = compare(open_side(usual), open_side(usual))
    assert len(comparison.pairs) == MODELS
    assert all(pair.why == () and pair.before == pair.after for pair in comparison.pairs)
    assert comparison.only == ([], [])
    assert f"the same: {MODELS} models" in as_text(comparison)


def test_a_setting_of_one_method_changes_its_cells_only(usual: Path, tmp_path: Path) -> None:
    found = causes(against(usual, tmp_path, methods={"kd": {"temperature": 2.0}}))
    assert found == {"teacher": set(), "finetune": set(), "kd": {"params: method.temperature: 4.0 -> 2.0"}}


def test_changed_data_is_the_cause_of_every_cell(usual: Path, tmp_path: Path) -> None:
    found = causes(against(usual, tmp_path, data={"max_dev_rows": 40}))
    assert set(found) == {"teacher", "finetune", "kd"}
    for method, why in found.items():
        assert why == {"data: data.max_dev_rows: 2000 -> 40"}, method


def test_a_teacher_that_was_trained_otherwise_is_the_cause_of_what_learned_from_it(usual: Path, tmp_path: Path) -> None:
    found = causes(against(usual, tmp_path, teachers={"big": {"training": {"epochs": 5}}}))
    assert found["teacher"] == {"params: training.epochs: 3 -> 5"}
    assert found["kd"] == {"params: teacher: training.epochs: 3 -> 5"}
    assert found["finetune"] == set(), "it has no teacher"


def test_more_seeds_are_cells_of_one_side(usual: Path, tmp_path: Path) -> None:
    comparison = against(usual, tmp_path, grid={"seeds": [0, 1, 2]})
    assert len(comparison.pairs) == MODELS
    assert comparison.only[0] == []
    assert {place[-1] for place in comparison.only[1]} == {2}
    assert f"only in B: {len(comparison.only[1])} models" in as_text(comparison)


def spoilt(usual: Path, tmp_path: Path, **run: Any) -> Path:
    """A copy of the results, one student of which scored otherwise."""
    results = shutil.copytree(usual.parent.parent, tmp_path / "copy")
    folder = next(path.parent for path in sorted((results / "students").rglob("metrics.json")))
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["score"] += 0.01
    metrics["validation"][metrics["split"]][metrics["score_name"]] += 0.01
    remade(folder / "metrics.json", metrics)
    rerecorded(folder, **run)
    return results / usual.relative_to(usual.parent.parent)


def test_one_recipe_with_two_results_is_laid_at_the_packages_door(usual: Path, tmp_path: Path) -> None:
    versions = {"python": "3.11.0", "torch": "2.99.0"}
    comparison = compare(open_side(usual), open_side(spoilt(usual, tmp_path, versions=versions)))
    (changed,) = [pair for pair in comparison.pairs if pair.why]
    assert any(change.kind == "environment" and '"2.99.0"' in change.what for change in changed.why)
    assert changed.after - changed.before == pytest.approx(0.01)


def test_one_recipe_with_two_results_and_nothing_else_is_not_explained_away(usual: Path, tmp_path: Path) -> None:
    comparison = compare(open_side(usual), open_side(spoilt(usual, tmp_path)))
    (changed,) = [pair for pair in comparison.pairs if pair.why]
    assert [change.kind for change in changed.why] == ["unknown"]


def test_text_and_json_say_the_same(usual: Path, tmp_path: Path) -> None:
    comparison = against(usual, tmp_path, methods={"kd": {"temperature": 2.0}})
    text, plain = as_text(comparison), as_json(comparison)
    assert text.count("because of params: method.temperature: 4.0 -> 2.0") == 1, "a cause is said once"
    assert len([cell for cell in plain["cells"] if cell["why"]]) == text.count(" -> ") - 1
    assert json.loads(json.dumps(plain)) == plain


def test_cells_that_are_gone_are_said(usual: Path, tmp_path: Path) -> None:
    results = shutil.copytree(usual.parent.parent, tmp_path / "copy")
    shutil.rmtree(results / "students")
    with pytest.raises(UserError, match="of its 18 cells are not in"):
        open_side(results / usual.relative_to(usual.parent.parent))


def test_what_is_no_report_is_refused(usual: Path) -> None:
    student = next(path.parent for path in (usual.parent.parent / "students").rglob("metrics.json"))
    with pytest.raises(UserError, match="give a folder of results/reports"):
        open_side(student)


def test_the_command_takes_folders_and_writes_json(usual: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "diff.json"
    result = CliRunner().invoke(app, ["diff", str(usual), str(usual), "--out", str(out)])
    assert result.exit_code == 0
    assert len(json.loads(out.read_text())["cells"]) == MODELS


def test_a_path_that_is_neither_is_named(usual: Path) -> None:
    result = CliRunner().invoke(app, ["diff", str(usual), "grids/none.yaml"])
    assert "grids/none.yaml: neither" in str(result.exception)
