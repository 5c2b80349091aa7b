"""Nothing damaged leaves the store: what ships, is described or is shown is compared with `run.json` first."""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.relisted import relist, rerecorded

from distilgrid.cards.write import write_cards
from distilgrid.core.artefacts import content_digest, read_json, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.sums import SUMS, check_sums, write_sums
from distilgrid.deployment import classifier
from distilgrid.deployment.classifier import Classifier
from distilgrid.deployment.folder import write_folder
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import ModelOption, list_options
from distilgrid.plan.expand import Plan
from distilgrid.reporting.collect import Collected, collect
from distilgrid.reporting.findings import find
from distilgrid.stages.report.page import publish

NAMES = ["input_ids", "token_type_ids", "attention_mask"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A grid whose models have a tokeniser, as their exports have."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    overlay = {"grid": {"tasks": ["reviews"], "methods": ["kd"], "students": ["two"]}, "report": {"baseline": "kd"}}
    plan, results = fabricate_results(tmp_path_factory.mktemp("exits"), overlay=overlay)
    for path in results.rglob("tokenizer.json"):
        Tokenizer(WordLevel({"[UNK]": 0, "good": 1}, unk_token="[UNK]")).save(str(path))
        relist(path.parent, path.name)
    for path in results.rglob("model.onnx"):
        path.write_bytes(bytes(range(256)))
        relist(path.parent, path.name)
    return plan, results


@pytest.fixture
def grid(whole: tuple[Plan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Path]:
    """A copy that a test may damage."""
    named = SimpleNamespace(model_input_names=NAMES)
    monkeypatch.setattr("distilgrid.deployment.folder.load_tokenizer", lambda _: named)
    return whole[0], Path(shutil.copytree(whole[1], tmp_path / "results"))


def offered(grid: tuple[Plan, Path], runtime: str) -> tuple[ModelOption, Collected]:
    found = find(collect(*grid))
    options = list_options(found, "reviews", Where("local-cpu")).options
    return next(option for option in options if option.runtime == runtime), found.collected


def chosen(grid: tuple[Plan, Path], runtime: str = "onnxruntime-int8") -> Path:
    option, collected = offered(grid, runtime)
    return write_folder(option, collected, results=grid[1], out=grid[1] / "out")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


damages = pytest.mark.parametrize("damage", [cut, lengthen, Path.unlink], ids=["cut", "lengthened", "gone"])


# choose ---------------------------------------------------------------------------------------------------------------


@damages
@pytest.mark.parametrize(
    ("runtime", "folder", "name"),
    [
        ("onnxruntime-int8", "export", "model.onnx"),
        ("onnxruntime-int8", "model", "tokenizer.json"),
        ("onnxruntime-int8", "model", "config.json"),
        ("torch-eager-fp32", "model", "model.safetensors"),
        ("onnxruntime-int8", "data", "dataset.json"),
    ],
)
def test_no_damaged_file_is_deployed(
    grid: tuple[Plan, Path], damage: Callable[[Path], None], runtime: str, folder: str, name: str
) -> None:
    option, collected = offered(grid, runtime)
    model = option.model.folder
    places = {"export": option.folder, "model": model, "data": grid[0].data["reviews"].folder}
    damage(grid[1] / places[folder] / name)
    with pytest.raises(UserError, match=rf"{name}: (content differs|missing)"):
        write_folder(option, collected, results=grid[1], out=grid[1] / "out")
    assert not (grid[1] / "out").exists()


def test_an_earlier_folder_stays_when_the_new_one_is_refused(grid: tuple[Plan, Path]) -> None:
    folder = chosen(grid)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    lengthen(grid[1] / offered(grid, "onnxruntime-int8")[0].folder / "model.onnx")
    with pytest.raises(UserError, match="content differs"):
        chosen(grid)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["serve.py", ".git/HEAD", "notes/today.txt"])
def test_files_of_somebody_next_to_a_deployed_model_are_not_deleted(grid: tuple[Plan, Path], name: str) -> None:
    folder = chosen(grid)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(UserError, match=rf"{re.escape(name.partition('/')[0])}: was not written .*\(--out\)$"):
        chosen(grid)
    assert (folder / name).read_text() == "mine"


def test_an_edited_readme_is_not_replaced(grid: tuple[Plan, Path]) -> None:
    folder = chosen(grid)
    lengthen(folder / "README.md")
    before = (folder / "README.md").read_bytes()
    with pytest.raises(UserError, match=r"README\.md: was edited"):
        chosen(grid)
    assert (folder / "README.md").read_bytes() == before


@damages
@pytest.mark.parametrize("name", ["model.onnx", "deployed.json"])
def test_a_damaged_folder_is_written_anew(grid: tuple[Plan, Path], damage: Callable[[Path], None], name: str) -> None:
    folder = chosen(grid)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(folder / name)
    if (folder / "deployed.json").is_file():
        chosen(grid)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    else:
        with pytest.raises(UserError, match="holds no deployed model"):
            chosen(grid)


def test_a_folder_is_replaced_where_it_stands(grid: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as the current folder, or through a link, which stays."""
    folder, link = chosen(grid), grid[1] / "current"
    link.symlink_to(folder)
    option, collected = offered(grid, "onnxruntime-int8")
    monkeypatch.chdir(folder)
    for out in (Path(), link):
        cut(folder / "labels.json")
        write_folder(option, collected, results=grid[1], out=out)
        check_sums(folder, advice="")
        monkeypatch.chdir(folder)
    assert link.is_symlink() and not [*grid[1].glob(".scratch-*")]


def test_a_failed_exchange_brings_the_earlier_folder_back(
    grid: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = chosen(grid), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "whole":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt):
        chosen(grid)
    check_sums(folder, advice="")


def test_only_files_of_the_artefact_are_deployed(grid: tuple[Plan, Path]) -> None:
    (grid[1] / offered(grid, "onnxruntime-int8")[0].folder / "model.bin").write_bytes(b"of somebody")
    names = {path.name for path in chosen(grid).iterdir()}
    assert names == {"model.onnx", "tokenizer.json", "labels.json", "deployed.json", "README.md", SUMS}


def test_an_export_of_another_making_of_its_model_is_not_deployed(grid: tuple[Plan, Path]) -> None:
    """The model was trained again, with another result, after it was exported."""
    option, collected = offered(grid, "onnxruntime-int8")
    model, export = grid[1] / option.model.folder, grid[1] / option.folder
    made_from = {option.model.key: content_digest(read_json(model / "run.json")["files"])}
    rerecorded(export, inputs=made_from)
    write_folder(option, collected, results=grid[1], out=grid[1] / "out")
    weights = load_file(model / "model.safetensors")
    save_file({name: values + np.float32(1) for name, values in weights.items()}, model / "model.safetensors")
    relist(model, "model.safetensors")
    with pytest.raises(UserError, match=r"made from another making of .*remove .* and run its stage again"):
        write_folder(option, collected, results=grid[1], out=grid[1] / "out")


def test_a_copy_that_differs_is_refused(grid: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.copyfile", lambda source, target: Path(target).write_bytes(b""))
    with pytest.raises(UserError, match=r"model\.onnx: the copy differs"):
        chosen(grid)


# The deployed folder --------------------------------------------------------------------------------------------------


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that a runtime loaded; its model answers the second label."""
    found: list[Path] = []

    def load(folder: Path, how: Any) -> Any:
        found.append(folder)
        return SimpleNamespace(bind=lambda inputs: lambda: np.array([[0.0, 1.0]]))

    monkeypatch.setattr(classifier, "open_runtime", lambda name: load)
    return found


@damages
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "labels.json", "deployed.json", SUMS])
def test_a_deployed_folder_that_was_damaged_is_not_loaded(
    grid: tuple[Plan, Path], loads: list[Path], damage: Callable[[Path], None], name: str
) -> None:
    folder = chosen(grid)
    assert Classifier(folder)("good") == "positive" and loads == [folder]
    damage(folder / name)
    with pytest.raises(UserError, match=rf"^{folder}/.*{name}: .*(copy the folder again|run the stage again)"):
        Classifier(folder)
    assert loads == [folder], "before the runtime sees it"


def test_what_people_write_next_to_a_model_does_not_matter(grid: tuple[Plan, Path], loads: list[Path]) -> None:
    folder = chosen(grid)
    lengthen(folder / "README.md")
    (folder / "serve.py").write_text("print()")
    assert Classifier(folder)("good") == "positive"


def test_the_readme_says_how_to_check_the_files(grid: tuple[Plan, Path]) -> None:
    assert f"sha256sum -c {SUMS}" in (chosen(grid) / "README.md").read_text()


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "deep").mkdir()
    for name in ("a b.txt", "deep/\u00e9.bin", "README.md"):
        (tmp_path / name).write_bytes(name.encode())
    write_sums(tmp_path, without=["README.md"])
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a b.txt: OK", "deep/\u00e9.bin: OK"]
    check_sums(tmp_path, advice="copy it again")


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_list_of_sums_that_lost_lines_is_refused(tmp_path: Path, kept: int) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    write_sums(tmp_path)
    lines = (tmp_path / SUMS).read_text().splitlines(keepends=True)
    (tmp_path / SUMS).write_text("".join(lines[:kept]))
    with pytest.raises(UserError, match=rf"{SUMS}: damaged; copy it again"):
        check_sums(tmp_path, advice="copy it again")


# Cards, the published report ------------------------------------------------------------------------------------------


@damages
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "train.parquet"])
def test_no_card_is_written_of_what_is_damaged(
    grid: tuple[Plan, Path], damage: Callable[[Path], None], name: str
) -> None:
    damage(max(path for path in grid[1].rglob(name) if "teacher-outputs" not in path.parts))
    with pytest.raises(UserError, match=rf"{name}: (content differs|missing)"):
        write_cards(plan=grid[0], results=grid[1], out=grid[1] / "cards")
    assert not (grid[1] / "cards").exists()


@damages
@pytest.mark.parametrize("name", ["report.html", "table.csv", "metrics.json", "curves.csv"])
def test_a_damaged_report_is_not_published(grid: tuple[Plan, Path], damage: Callable[[Path], None], name: str) -> None:
    plan, results = grid
    report(plan=plan, results=results, out=results / plan.report.folder)
    publish(plan=plan, results=results)
    cut(results / "latest" / name)
    publish(plan=plan, results=results)
    published = {path.name: path.read_bytes() for path in (results / "latest").iterdir()}
    assert published[name] == (results / plan.report.folder / name).read_bytes() or name == "report.html"
    damage(results / plan.report.folder / name)
    with pytest.raises(UserError, match=rf"{name}: (content differs|missing)|is not made"):
        publish(plan=plan, results=results)
    assert {path.name: path.read_bytes() for path in (results / "latest").iterdir()} == published


def test_a_report_of_what_was_made_again_is_not_published(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    report(plan=plan, results=results, out=results / plan.report.folder)
    publish(plan=plan, results=results)
    cell = results / plan.students[0].folder
    (cell / "config.json").write_text("{}")
    relist(cell, "config.json")
    with pytest.raises(UserError, match=rf"was made from another making of {re.escape(str(cell))}"):
        publish(plan=plan, results=results)
    shutil.rmtree(cell)  # as in a clone that pulled the report alone
    publish(plan=plan, results=results)


# Served models --------------------------------------------------------------------------------------------------------


@damages
def test_a_registered_cell_that_was_damaged_is_not_served(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    pytest.importorskip("mlflow")
    from distilgrid.tracking.serving import CELL, CellModel

    facts: Mapping[str, Any] = {"kind": "label", "labels": ["no", "yes"], "pair": False, "max_length": 8}
    write_json(tmp_path / "serving.json", facts)
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    write_sums(tmp_path)
    damage(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: (content differs|missing).*register its cell again"):
        CellModel().load_context(SimpleNamespace(artifacts={CELL: str(tmp_path)}))
