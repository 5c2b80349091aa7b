"""`distilgrid verify`: whatever was changed, cut short, put there or made from something else is found."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.unit.command_line import Run, one_line
from tests.unit.fabricate import fabricate_results
from tests.unit.made import finetune, prepare
from tests.unit.relisted import relist
from typer.testing import CliRunner

from distilgrid.audit import rescore
from distilgrid.audit.verify import verify
from distilgrid.cli.app import app
from distilgrid.core.artefacts import verified, write_json, writing
from distilgrid.core.fingerprint import recipe_key
from distilgrid.methods.kd.declare import KD
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import effective_training, parse_params
from distilgrid.tasks.kind import find_metric
from distilgrid.training.predictor import predict

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    return fabricate_results(tmp_path_factory.mktemp("fabricated"))


@pytest.fixture
def made(fabricated: tuple[Plan, Path], tmp_path: Path) -> tuple[Plan, Path]:
    """A copy to spoil."""
    plan, results = fabricated
    shutil.copytree(results, tmp_path / "results")
    return plan, tmp_path / "results"


def student(made: tuple[Plan, Path]) -> Path:
    plan, results = made
    return results / plan.students[0].folder


def test_whole_results_have_no_problems(made: tuple[Plan, Path]) -> None:
    found = verify(made[1])
    assert found.problems == []
    assert len(found.made) == len(made[0].artefacts) - 1, "all but the report"
    assert found.files > 3 * len(found.made)


def change_weights(folder: Path) -> str:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    return "model.safetensors: changed"


def cut_short(folder: Path) -> str:
    predictions = folder / "predictions.parquet"
    predictions.write_bytes(predictions.read_bytes()[:100])
    return "predictions.parquet: changed or cut short"


def lose_file(folder: Path) -> str:
    (folder / "history.parquet").unlink()
    return "history.parquet: missing"


def add_file(folder: Path) -> str:
    (folder / "notes.txt").write_text("by hand")
    return "notes.txt: not of this artefact"


def change_recipe(folder: Path) -> str:
    run = json.loads((folder / "run.json").read_text())
    run["recipe"]["training"]["epochs"] += 1
    write_json(folder / "run.json", run)
    return "the recipe was changed"


def change_cost(folder: Path) -> str:
    run = json.loads((folder / "run.json").read_text())
    run["cost"]["cpu_seconds"] = 0.1
    write_json(folder / "run.json", run)
    return "run.json: content differs from its own fingerprint"


def rename(folder: Path) -> str:
    folder.rename(folder.with_name(folder.name[:-12] + "0123456789ab"))
    return "is named after 0123456789ab"


def damage_run(folder: Path) -> str:
    (folder / "run.json").write_text('{"stage": ')
    return "run.json: damaged"


@pytest.mark.parametrize(
    "spoil",
    [change_weights, cut_short, lose_file, add_file, change_recipe, change_cost, rename, damage_run],
    ids=lambda f: f.__name__,
)
def test_what_was_spoilt_is_named(spoil: Callable[[Path], str], made: tuple[Plan, Path]) -> None:
    said = spoil(student(made))
    lines = [problem.line() for problem in verify(made[1]).problems]
    assert any(said in line and made[0].students[0].location.split("/")[-1] in line for line in lines), lines


def test_an_input_that_is_gone_breaks_the_chain(made: tuple[Plan, Path]) -> None:
    plan, results = made
    shutil.rmtree(results / plan.teachers[0].folder)
    lines = [problem.what for problem in verify(results).problems]
    assert f"was made from teacher-dir {plan.teachers[0].key}, which is not here" in lines


def test_a_part_of_the_results_is_checked_without_what_it_lacks(made: tuple[Plan, Path]) -> None:
    """As `dvc pull` of some cells brings it."""
    plan, results = made
    shutil.rmtree(results / plan.teachers[0].folder)
    (results / "reports").mkdir()
    words = ["verify", "--results", str(results), "--cells", "0"]
    assert CliRunner().invoke(app, words).exit_code == 1
    assert CliRunner().invoke(app, [*words, "--part"]).exit_code == 0
    change_weights(student(made))
    done = CliRunner().invoke(app, [*words, "--part"])
    assert done.exit_code == 1 and "model.safetensors: changed or cut short" in done.output


def test_an_unfinished_artefact_is_listed_and_no_problem(made: tuple[Plan, Path]) -> None:
    for name in ("parity.json", "model.onnx", "run.json"):
        (made[1] / made[0].of("export")[0].folder / name).unlink(missing_ok=True)
    found = verify(made[1])
    assert [folder.relative_to(made[1]).as_posix() for folder in found.unfinished] == [made[0].of("export")[0].folder]


def test_what_searches_share_and_the_tracking_summary_are_no_artefacts(made: tuple[Plan, Path]) -> None:
    for place in ("searches/reviews/big/.known/estimates-0123456789ab", "tracking/fabricated-0123456789ab"):
        (made[1] / place).mkdir(parents=True)
    assert verify(made[1]).unfinished == []


def test_another_making_of_an_input_is_noticed_by_its_files(tmp_path: Path) -> None:
    """Its durations may differ, its weights may not."""

    def make(name: str, content: str, seconds: str, source: Path | None = None) -> Path:
        recipe: dict[str, Any] = {"stage": "prepare", "name": name}
        if source is not None:
            recipe["inputs"] = {"data": verified(source)["key"]}
        out = tmp_path / f"{name}-{recipe_key(recipe)}"
        with writing(out, recipe=recipe, labels={}) as folder:
            (folder / "weights").write_text(content)
            (folder / "metrics.json").write_text(seconds)
        return out

    source = make("source", "a", "1 s")
    made_from = make("made", "b", "1 s", source)
    assert verify(tmp_path).links == 1
    make("source", "a", "2 s")
    assert verify(tmp_path).problems == [], "the same weights, which took longer"
    make("source", "other", "1 s")
    (problem,) = verify(tmp_path).problems
    assert problem.place == made_from
    assert str(source) in problem.what


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_defaults: dict[str, Any]) -> Path:
    """Data and a really trained teacher, at their places."""
    results = tmp_path_factory.mktemp("trained") / "results"
    params = parse_params(tiny_defaults, origin="test")
    plan = expand(params)
    teacher = plan.teachers[0]
    data, task = plan.data[teacher.labels["task"]], teacher.labels["task"]
    prepare(task=task, spec=params.tasks[task], data=params.data, out=results / data.folder)
    source = params.teachers[teacher.labels["teacher"]]
    finetune(
        data=results / data.folder,
        source=source.source,
        training=effective_training(params, source.training),
        seed=source.seed,
        out=results / teacher.folder,
        labels=teacher.labels,
    )
    return results


def run(results: Path, *options: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["verify", "--results", str(results), *options])
    return result.exit_code, result.stdout, result.stderr


def test_a_model_is_scored_as_recorded(trained: Path) -> None:
    code, said, _ = run(trained)
    assert code == 0, said
    assert "read" in said
    assert "scored again" in said


def test_a_score_that_was_changed_with_its_fingerprint_is_found_by_scoring_again(trained: Path, tmp_path: Path) -> None:
    results = shutil.copytree(trained, tmp_path / "results")
    (folder,) = (path.parent for path in results.rglob("metrics.json"))
    metrics = json.loads((folder / "metrics.json").read_text())
    write_json(folder / "metrics.json", metrics | {"score": metrics["score"] + 0.05})
    relist(folder, "metrics.json")
    assert verify(results).problems == [], "files match what is listed"
    code, _, problems = run(results)
    assert code == 1
    assert str(folder) in problems


def test_the_tolerance_is_on_the_scale_of_the_metric(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = shutil.copytree(trained, tmp_path / "results")
    (folder,) = (path.parent for path in results.rglob("metrics.json"))
    metrics = json.loads((folder / "metrics.json").read_text())
    write_json(folder / "metrics.json", metrics | {"score": metrics["score"] + 0.05})
    relist(folder, "metrics.json")
    monkeypatch.setattr(rescore, "find_metric", lambda name: replace(find_metric(name), scale=1))
    assert run(results, "--tolerance", "0.1")[0] == 0, "0.05 printed as 0.05"
    assert run(results, "--tolerance", "0.01")[0] == 1


def test_a_model_is_scored_by_the_predictor_of_its_method(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rescore.predictor({"method": 1}) is predict, "a teacher's"
    assert rescore.predictor({"method": KD().recipe()}) is predict
    monkeypatch.setattr(KD, "predictor", f"{__name__}:relist")
    monkeypatch.setattr(rescore, "load", lambda target: target)
    assert rescore.predictor({"method": KD().recipe()}) == f"{__name__}:relist"


def test_other_weights_with_their_fingerprint_are_found_by_scoring_again(trained: Path, tmp_path: Path) -> None:
    results = shutil.copytree(trained, tmp_path / "results")
    (folder,) = (path.parent for path in results.rglob("model.safetensors"))
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = weights["classifier.bias"] + np.array([50.0, -50.0], dtype=np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    relist(folder, "model.safetensors")
    assert run(results)[0] == 1
    assert run(results, "--cells", "0")[0] == 0, "files match what is listed"


@pytest.mark.parametrize(
    "inside", ["", "notes", "students/t/seed-0-0123456789ab"], ids=["empty", "other", "unfinished"]
)
def test_a_folder_without_artefacts_is_not_verified(run: Run, tmp_path: Path, inside: str) -> None:
    (tmp_path / "results" / inside).mkdir(parents=True)
    said = one_line(run("verify", "--results", tmp_path / "results"))
    assert f"{tmp_path / 'results'}: holds no finished artefact" in said
    assert ("unfinished: 1" in said) == ("seed-0" in inside)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "--results", str(tmp_path / "none")])
    assert "no such folder" in str(result.exception)
