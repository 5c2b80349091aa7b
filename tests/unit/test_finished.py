"""Finished artefacts have one reader, which believes no file that differs from `run.json`."""

import ast
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from typer.testing import CliRunner

from distilgrid.audit.diff import compare, open_side
from distilgrid.audit.made import finished
from distilgrid.audit.rescore import rescored
from distilgrid.cli.app import app
from distilgrid.core.artefacts import read_json, write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.finished import Finished, open_finished, open_trained
from distilgrid.plan.expand import Plan
from distilgrid.tracking.cells import all_records
from distilgrid.tracking.register import best_cell, register

SOURCE = ROOT / "src" / "distilgrid"


# The reader -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make(tmp_path / "made", {"stage": "distill", "seed": 1})


def make(folder: Path, recipe: dict[str, Any], score: float = 0.5) -> Path:
    with writing(folder, recipe=recipe, labels={"task": "reviews"}) as scratch:
        write_json(scratch / "metrics.json", {"score": score})
        pd.DataFrame({"a": [1, 2], "b": ["NA", ""]}).to_parquet(scratch / "rows.parquet")
        pd.DataFrame({"a": [1, 2], "b": ["NA", None]}).to_csv(scratch / "rows.csv", index=False)
        (scratch / "model.onnx").write_bytes(bytes(1000))
    return folder


def test_a_whole_artefact_is_read(made: Path, tmp_path: Path) -> None:
    found = open_trained(made)
    assert (found.key, found.labels) == (recipe_key({"stage": "distill", "seed": 1}), {"task": "reviews"})
    assert found.json("metrics.json") == {"score": 0.5}
    assert found.table("rows.parquet", ["b"])["b"].tolist() == ["NA", ""]
    assert found.table("rows.csv")["b"].fillna("-").tolist() == ["NA", "-"], "a text NA is no missing value"
    found.copy(["model.onnx"], tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == bytes(1000) == found.read("model.onnx")


@pytest.mark.parametrize("name", ["added_tokens.json", "vocab.txt", "pytorch_model.bin", "modeling.py"])
def test_a_file_that_would_be_loaded_with_a_model_is_refused(made: Path, name: str) -> None:
    """`added_tokens.json` changes how transformers cuts texts into tokens."""
    (made / name).write_text('{"quite poor": 32}')
    with pytest.raises(UserError, match=rf"^{made / name}: run.json does not list it, .*; remove it$"):
        open_trained(made)
    (made / name).unlink()
    for harmless in (".notes.json", "README.md", "LICENSE"):
        (made / harmless).write_text("")
    open_trained(made)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("damage", [cut, lengthen, Path.unlink], ids=["cut", "lengthened", "gone"])
@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("metrics.json", lambda found, out: found.json("metrics.json")),
        ("rows.parquet", lambda found, out: found.table("rows.parquet")),
        ("rows.csv", lambda found, out: found.table("rows.csv")),
        ("model.onnx", lambda found, out: found.read("model.onnx")),
        ("model.onnx", lambda found, out: found.path("model.onnx")),
        ("model.onnx", lambda found, out: found.copy(["model.onnx"], out)),
    ],
    ids=["json", "parquet", "csv", "bytes", "path", "copy"],
)
def test_no_content_is_seen_of_a_file_that_differs(
    made: Path, tmp_path: Path, damage: Callable[[Path], None], name: str, look: Callable[[Finished, Path], Any]
) -> None:
    """Also when it changes after the artefact was opened."""
    found = open_finished(made)
    damage(made / name)
    with pytest.raises(UserError, match=rf"{name}: (missing|content differs)"):
        look(found, tmp_path)
    assert not (tmp_path / name).exists()
    with pytest.raises(UserError, match=rf"{name}: (missing|content differs)"):
        look(open_finished(made, only=()), tmp_path)


def test_a_file_that_the_stage_did_not_write_is_not_read(made: Path) -> None:
    write_json(made / "added.json", {"score": 1.0})
    with pytest.raises(UserError, match=r"added\.json: run\.json does not list it"):
        open_finished(made).json("added.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": {"stage": "distill", "seed": 2}}, "the recipe was changed"),
        ({"files": {"../other/metrics.json": "0" * 64}}, "lists files of other folders"),
        ({"files": ["metrics.json"]}, "damaged"),
        ({"recipe": None}, "damaged"),
        ({"labels": "reviews"}, "damaged"),
        ({"labels": {"task": "topics"}}, "content differs from its own fingerprint"),
        ({"seconds": 0.1}, "content differs from its own fingerprint"),
        ({"cost": {"cpu_seconds": 0.1}}, "content differs from its own fingerprint"),
    ],
)
def test_a_record_that_was_edited_is_refused(made: Path, change: dict[str, Any], said: str) -> None:
    write_json(made / "run.json", read_json(made / "run.json") | change)
    with pytest.raises(UserError, match=rf"run\.json: {said}"):
        open_finished(made, only=())


def test_another_making_of_an_input_is_noticed(made: Path, tmp_path: Path) -> None:
    open_finished(made)
    export = open_finished(make(tmp_path / "export", {"stage": "export", "inputs": {"model": open_finished(made).key}}))
    export.check_made_from(open_finished(made))
    again = open_finished(make(tmp_path / "again", {"stage": "distill", "seed": 1}))
    export.check_made_from(again)  # `metrics.json` holds durations
    with writing(tmp_path / "other", recipe={"stage": "distill", "seed": 1}, labels={}) as scratch:
        (scratch / "model.onnx").write_bytes(bytes(999))
    with pytest.raises(UserError, match=r"export: was made from another making of .*other"):
        export.check_made_from(open_finished(tmp_path / "other"))


# Its readers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A finished grid with a search, augmented rows and a report."""
    overlay: dict[str, Any] = {"grid": {"tasks": ["reviews"], "methods": ["kd"], "augmentations": ["none", "eda"]}}
    overlay |= {"augmentations": {"eda": {"kind": "eda"}}, "report": {"baseline": "kd"}}
    plan, results = fabricate_results(tmp_path_factory.mktemp("whole"), overlay=overlay)
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


@pytest.fixture
def grid(whole: tuple[Plan, Path], tmp_path: Path) -> tuple[Plan, Path]:
    """A copy that a test may damage."""
    return whole[0], Path(shutil.copytree(whole[1], tmp_path / "results"))


def edited(path: Path) -> None:
    """Change the first number of a JSON file in its last digit, as by hand; add a byte to another file."""
    text = path.read_bytes()
    if path.suffix == ".json":
        values = json.loads(text)
        _raise(values)
        write_json(path, values)
    else:
        path.write_bytes(text + b"\0")


def _raise(values: Any) -> bool:
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, float | int) and not isinstance(value, bool):
            values[name] = value + 1
            return True
        if isinstance(value, dict | list) and _raise(value):
            return True
    return False


EDITED = ["metrics.json", "history.parquet", "parity.json", "benchmark.json", "dataset.json", "samples.json"]


@pytest.mark.parametrize("name", [*EDITED, "train.parquet"])
def test_what_was_edited_by_hand_does_not_reach_mlflow(grid: tuple[Plan, Path], name: str) -> None:
    """A score, a latency, a number of rows."""
    plan, results = grid
    assert all_records(plan, results)
    edited(max(path for path in results.rglob(name) if "reports" not in path.parts))
    with pytest.raises(UserError, match=rf"{name.replace('.', '[.]')}: content differs"):
        all_records(plan, results)


@pytest.mark.parametrize(("name", "said"), [("run.json", "damaged JSON"), ("metrics.json", "missing")])
def test_a_model_that_lost_a_file_does_not_vanish_from_mlflow(grid: tuple[Plan, Path], name: str, said: str) -> None:
    """It is not unfinished: it is named."""
    plan, results = grid
    path = results / plan.students[0].folder / name
    text = path.read_bytes()
    path.unlink()
    if name == "run.json":
        path.write_bytes(text[:-9])
    with pytest.raises(UserError, match=f"{path}: {said}"):
        all_records(plan, results)
    with pytest.raises(UserError, match=f"{path}: {said}"):
        best_cell(plan, results, task="reviews", wanted={})


def test_tracking_ends_in_one_line_and_writes_no_store(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    params = results.parent / "params.yaml"
    params.write_text(json.dumps(plan.params.model_dump(mode="json")))
    path = results / plan.students[0].folder / "metrics.json"
    write_json(path, read_json(path) | {"score": 0.99})
    for command in (["track"], ["register", "--task", "reviews"], ["register", "--cell", str(path.parent)]):
        given = ["--params", str(params), "--results", str(results), "--uri", f"sqlite:///{results / 'new.db'}"]
        done = CliRunner().invoke(app, [*command, *given])
        assert isinstance(done.exception, UserError) and f"{path}: content differs" in str(done.exception)
    assert not (results / "new.db").exists()


@pytest.mark.parametrize("name", ["metrics.json", "model.safetensors", "dataset.json"])
def test_nothing_edited_is_registered(grid: tuple[Plan, Path], name: str) -> None:
    plan, results = grid
    cell = best_cell(plan, results, task="reviews", wanted={})
    folder = plan.data["reviews"].folder if name == "dataset.json" else cell.folder
    edited(results / folder / name)
    with pytest.raises(UserError, match=rf"{name}: content differs"):
        register(plan=plan, results=results, cell=cell, uri=f"sqlite:///{results / 'new.db'}")
    assert not (results / "new.db").exists()


def test_two_grids_are_not_compared_by_edited_scores(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    side = open_side(results / plan.report.folder)
    edited(results / plan.students[0].folder / "metrics.json")
    with pytest.raises(UserError, match=r"metrics\.json: content differs"):
        compare(side, side)


def test_two_grids_are_not_compared_by_edited_settings(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    path = results / plan.students[0].folder / "run.json"
    run = read_json(path)
    run["recipe"]["training"]["epochs"] = 99
    write_json(path, run)
    with pytest.raises(UserError, match=r"run\.json: the recipe was changed"):
        open_side(results / plan.report.folder)


def test_a_model_is_not_scored_again_by_an_edited_record(grid: tuple[Plan, Path]) -> None:
    plan, results = grid
    models = [each for each in finished(results) if each.stage == "prepare" or each.key == plan.students[0].key]
    edited(results / plan.students[0].folder / "predictions.parquet")
    ((said, good),) = rescored(models, count=1, seed=0, tolerance=0.1)
    assert not good and "predictions.parquet: content differs" in said


# No other way ---------------------------------------------------------------------------------------------------------

READERS = {
    *("read_json", "read_run", "verified", "read_text", "read_bytes", "fdopen"),
    *("read_csv", "read_parquet", "read_table", "read_schema", "ParquetFile", "fromfile", "memmap"),
    *("from_pretrained", "from_file", "load_file", "safe_open", "copyfile", "copy2", "copytree", "InferenceSession"),
    *("json.load", "json.loads", "np.load", "numpy.load", "torch.load", "yaml.safe_load", "shutil.copy", "os.open"),
    "open",
}
"""Calls that read files, or what was read from them."""
NOT_ARTEFACTS = {
    "audit/garbage.py": "the keys that records name, damaged ones too",
    "augmentation/back_translation/rows.py": "pretrained models",
    "augmentation/neighbours.py": "pretrained models",
    "benchmark/footprint.py": "facts of the machine, and answers of a child",
    "core/cost.py": "facts of the machine",
    "core/fingerprint.py": "the SHA-256 of any file",
    "core/journal.py": "a database of findings",
    "core/machine.py": "facts of the machine",
    "core/project.py": "settings",
    "core/sums.py": "checksums of folders that have left the store",
    "deployment/classifier.py": "a folder that has left the store, checked by its checksums",
    "devices/android/phone.py": "a runtime's own file, after its export was opened",
    "devices/imported.py": "measurements of other machines",
    "devices/measure.py": "a file that is to be written",
    "jobs/process.py": "facts of the machine",
    "jobs/warm/server.py": "facts of the machine, and requests",
    "models/facts.py": "models, pretrained or in folders that callers opened",
    "models/io.py": "models, in folders that callers opened",
    "plan/frozen.py": "settings",
    "reporting/claims/file.py": "claims",
    "runtimes/executorch.py": "a runtime's own files, in folders that callers opened",
    "runtimes/executorch_export.py": "an export that is being made",
    "runtimes/guards.py": "standard error",
    "runtimes/litert.py": "a runtime's own files, in folders that callers opened",
    "runtimes/onnx_export.py": "an export that is being made",
    "runtimes/onnxruntime.py": "a runtime's own files, in folders that callers opened",
    "runtimes/text_reader.py": "a tokeniser, in a folder that callers opened",
    "signals/tensor_file.py": "tensors, at the path that `Finished` gave",
    "stages/report/page.py": "templates",
    "stages/search/searching.py": "pretrained models",
    "tasks/batching.py": "a cache of tokens with its own fingerprints",
    "tasks/compressed.py": "files of users",
    "tasks/docs_corpus/installed.py": "installed packages",
    "tasks/files.py": "files of users",
    "tasks/glue.py": "files of users",
    "tasks/json_lines.py": "files of users",
    "tasks/kinds/image/sources.py": "files of users",
    "tasks/spec.py": "settings",
    "tasks/tables.py": "files of users",
    "tracking/__init__.py": "the summary of a call",
    "tracking/serving.py": "a folder that has left the store, checked by its checksums",
    "training/checkpoint.py": "unfinished work",
    "training/cpu/vocabulary.py": "tensors in memory",
    "training/efficiency.py": "facts of the machine",
    "workflow/new_project.py": "templates",
}
"""What other modules read, with these calls, which is no artefact."""
BELOW = {
    "core/artefacts.py": READERS,
    "core/finished.py": READERS,
    "audit/left.py": {"json.loads", "read_text"},  # what is damaged is made again
    "audit/made.py": {"read_run"},  # `verify` looks at what is damaged, too
    "audit/status.py": {"read_run"},  # why an artefact is stale
    "cards/write.py": {"read_json"},  # the record of cards written before
    "deployment/folder.py": {"from_file", "read_json"},  # at the path that `Finished` gave; an earlier folder
    "tasks/kinds/image/rows.py": {"read_table"},  # likewise
    "tracking/datasets.py": {"read_schema"},  # likewise
}
"""Modules that read artefacts, or what `Finished` checked for them, by such a call."""


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from {alias.name for alias in node.names} & READERS
        elif isinstance(node, ast.Attribute | ast.Name):
            name = ast.unparse(node)
            yield from {name, name.rpartition(".")[2]} & (READERS - {"open"})
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "open":
            # Signals, sockets and images have an `open` of their own.
            own = isinstance(node.func, ast.Name) or "encoding" in {keyword.arg for keyword in node.keywords}
            yield from ["open"] if own else []


def test_nothing_else_opens_an_artefact() -> None:
    """A new module that reads files is either about something else, and listed above, or goes through `Finished`."""
    found = {path.relative_to(SOURCE).as_posix(): {*calls(path)} for path in sorted(SOURCE.rglob("*.py"))}
    found = {name: calls for name, calls in found.items() if calls - BELOW.get(name, set())}
    assert {name: calls for name, calls in found.items() if name not in NOT_ARTEFACTS} == {}
    assert [name for name in [*NOT_ARTEFACTS, *BELOW] if not (SOURCE / name).is_file()] == []


def test_only_the_reader_may_trust_files_that_it_checked() -> None:
    own = {"verified", "read_parquet", "read_run", "check_file", "trained_model"}
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        used = {alias.name for node in imports if node.module == "distilgrid.core.artefacts" for alias in node.names}
        assert used & own <= BELOW.get(name, set()) | ({"check_file"} if name == "core/finished.py" else set()), name
