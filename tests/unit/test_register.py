"""Models in the registry: what is stored, that it answers as the cell does, and that it is stored once."""

import importlib.util
import json
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.conftest import sentences
from tests.unit.fabricate import fabricate_results
from tests.unit.layered import bert, layered
from tests.unit.made import prepare
from tests.unit.pictures import encoded, pictures
from tests.unit.relisted import remade
from tests.unit.servers import free_port, mlflow_server
from typer.testing import CliRunner

import distilgrid
from distilgrid.cli.app import app
from distilgrid.core.artefacts import read_json, writing
from distilgrid.core.errors import UserError
from distilgrid.core.finished import Finished, open_trained
from distilgrid.core.planned import Artefact
from distilgrid.models.io import load_model, load_tokenizer, save_model
from distilgrid.models.new import new_model
from distilgrid.plan.expand import Plan
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kinds.image.rows import read_pixels
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tracking import default_uri
from distilgrid.tracking.register import Registered, best_cell, cell_in, register

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs the extra 'mlflow'"),
]
LABELS = {0: "negative", 1: "positive"}
LONGEST = 32
UNWANTED = {".pkl", ".pickle", ".bin", ".pt", ".pth", ".joblib"}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Plan, Path]:
    """A finished grid of which two students have real weights: a BERT, and one whose layers differ in width."""
    plan, results = fabricate_results(tmp_path_factory.mktemp("grid"))
    sizes = {"vocab_size": len(load_tokenizer(tiny_model)), "num_labels": 2}
    fill(student(plan, "three"), bert(**sizes), tiny_model, results)
    fill(student(plan, "two"), layered(**sizes), tiny_model, results)
    return plan, results


def student(plan: Plan, name: str) -> Artefact:
    (found,) = [
        each
        for each in plan.students
        if (each.labels["task"], each.labels["method"], each.labels["student"], each.labels["seed"])
        == ("reviews", "kd", name, 0)
    ]
    return found


def fill(cell: Artefact, model: Any, tokenizer: Path | None, results: Path) -> None:
    """Give a cell real weights."""
    folder = results / cell.folder
    model.config.id2label, model.config.label2id = LABELS, {label: i for i, label in LABELS.items()}
    model.config.problem_type = "single_label_classification"
    with writing(folder, recipe=cell.recipe, labels=cell.labels) as scratch:
        for name in ("metrics.json", "history.parquet", "predictions.parquet"):
            shutil.copyfile(folder / name, scratch / name)
        save_model(model, load_tokenizer(tokenizer) if tokenizer else None, scratch)


@pytest.fixture(scope="module")
def plain(grid: tuple[Plan, Path]) -> Registered:
    """A plain classifier, registered without the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked for an address"))
        return put(grid, "three")


@pytest.fixture(scope="module")
def own(grid: tuple[Plan, Path], plain: Registered) -> Registered:
    """A model of our own architecture."""
    return put(grid, "two")


def put(grid: tuple[Plan, Path], name: str) -> Registered:
    plan, results = grid
    return register(plan=plan, results=results, cell=student(plan, name), uri=default_uri(results))


def downloaded(grid: tuple[Plan, Path], made: Registered, where: Path) -> Path:
    import mlflow

    mlflow.set_tracking_uri(default_uri(grid[1]))
    return Path(mlflow.artifacts.download_artifacts(made.uri, dst_path=str(where)))


def expected(folder: Path, texts: list[str]) -> tuple[list[str], np.ndarray]:
    """Labels and probabilities by torch itself, a text at a time."""
    import torch

    model, tokenizer = load_model(folder), load_tokenizer(folder)
    with torch.inference_mode():
        rows = [tokenizer(text, return_tensors="pt") for text in texts]
        odds = torch.cat([model(**row).logits.softmax(dim=1) for row in rows]).numpy()
    return [LABELS[int(i)] for i in odds.argmax(axis=1)], odds.max(axis=1)


@pytest.mark.parametrize("name", ["three", "two"])
def test_a_registered_model_answers_as_its_cell_does(
    grid: tuple[Plan, Path], plain: Registered, own: Registered, tmp_path: Path, name: str
) -> None:
    from mlflow import pyfunc

    folder = downloaded(grid, plain if name == "three" else own, tmp_path)
    texts = [text for text, _ in sentences(20, seed=7)]
    answer = pyfunc.load_model(str(folder)).predict(pd.DataFrame({"text": texts}))
    labels, odds = expected(grid[1] / student(grid[0], name).folder, texts)
    assert answer["label"].tolist() == labels and len(set(labels)) == 2
    assert np.allclose(answer["score"], odds, atol=1e-5)


def test_a_plain_classifier_is_a_pipeline_without_distilgrid(
    grid: tuple[Plan, Path], plain: Registered, tmp_path: Path
) -> None:
    from mlflow import transformers

    folder = downloaded(grid, plain, tmp_path)
    classify = transformers.load_model(str(folder))
    assert {answer["label"] for answer in classify([text for text, _ in sentences(20, seed=7)])} == set(LABELS.values())
    assert "distilgrid" not in (folder / "requirements.txt").read_text()


@pytest.mark.parametrize("name", ["plain", "own"])
def test_it_has_a_signature_an_example_and_no_pickle(
    grid: tuple[Plan, Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    folder = downloaded(grid, request.getfixturevalue(name), tmp_path)
    about = mlflow.models.Model.load(str(folder))
    assert about.signature.inputs.input_names() == ["text"]
    assert about.signature.outputs.input_names() == ["label", "score"]
    example = about.load_input_example(str(folder))
    (split,) = [open_dataset(grid[1] / grid[0].data["reviews"].folder).split("validation")]
    assert example["text"].tolist() == split["text_a"].tolist()[:2]
    files = [path for path in folder.rglob("*") if path.is_file()]  # loading it may add byte code
    assert [path.name for path in files if path.suffix == ".safetensors"] == ["model.safetensors"]
    assert not [path for path in files if path.suffix in UNWANTED]
    assert "cloudpickle" not in (folder / "MLmodel").read_text() + (folder / "requirements.txt").read_text()
    said = "".join(path.read_text(errors="ignore") for path in files if path.suffix != ".safetensors")
    assert tempfile.gettempdir() not in said and str(Path(distilgrid.__file__).parent) not in said
    assert mlflow.pyfunc.load_model(str(folder)).predict(example).shape == (2, 2)


def test_a_version_leads_back_to_its_cell_and_its_run(grid: tuple[Plan, Path], plain: Registered) -> None:
    from mlflow import MlflowClient

    plan, results = grid
    cell, client = student(plan, "three"), MlflowClient(default_uri(results))
    assert (plain.name, plain.version, plain.new, plain.cell) == ("distilgrid-reviews", "1", True, cell.folder)
    version = client.get_model_version(plain.name, plain.version)
    score = read_json(results / cell.folder / "metrics.json")["score"]
    wanted = {"folder": cell.folder, "cell": cell.key, "grid": "fabricated", "recipe": "kd / three", "seed": "0"}
    assert wanted.items() <= version.tags.items()
    assert float(version.tags["score"]) == pytest.approx(score, abs=1e-5)
    run = client.get_run(version.run_id)
    assert (run.data.tags["folder"], run.info.status) == (cell.folder, "FINISHED")
    (logged,) = client.search_logged_models([run.info.experiment_id], filter_string=f"tags.cell = '{cell.key}'")
    assert logged.status == "READY" and logged.source_run_id == version.run_id


def test_a_version_says_what_is_noted_of_the_teacher(grid: tuple[Plan, Path], tmp_path: Path) -> None:
    """Also a version that was there before the note was."""
    from mlflow import MlflowClient

    plan, results = grid
    uri, said = f"sqlite:///{tmp_path / 'noted.db'}", "big: it saw <such> texts before."
    given: dict[str, Any] = {"results": results, "cell": student(plan, "three"), "uri": uri}
    before = register(plan=plan, **given)
    client = MlflowClient(uri)
    assert "teacher_note" not in client.get_model_version(before.name, before.version).tags
    teacher = plan.params.teachers["big"].model_copy(update={"note": "it saw <such> texts before"})
    noted = replace(plan, params=plan.params.model_copy(update={"teachers": {**plan.params.teachers, "big": teacher}}))
    again = register(plan=noted, **given)
    assert (again.version, again.new) == (before.version, False)
    assert client.get_model_version(again.name, again.version).tags["teacher_note"] == said
    fresh = client.get_model_version("other", register(plan=noted, name="other", **given).version)
    assert (fresh.tags["teacher_note"], fresh.description) == (said, "big: it saw &lt;such&gt; texts before.")
    assert client.get_run(fresh.run_id).data.tags["teacher_note"] == said


def test_the_same_cell_twice_makes_no_second_version(
    grid: tuple[Plan, Path], plain: Registered, own: Registered
) -> None:
    from mlflow import MlflowClient

    again = put(grid, "three")
    assert (again.version, again.new) == (plain.version, False)
    versions = MlflowClient(default_uri(grid[1])).search_model_versions("name = 'distilgrid-reviews'")
    assert sorted(str(version.version) for version in versions) == sorted([plain.version, own.version])


def test_a_version_stays_when_its_run_is_written_again(grid: tuple[Plan, Path], plain: Registered) -> None:
    from mlflow import MlflowClient

    plan, results = grid
    cell, client = student(plan, "three"), MlflowClient(default_uri(results))
    export = next(
        e for e in plan.of("export") if e.inputs["model"] is cell and e.labels["runtime"] == "onnxruntime-int8"
    )
    remade(results / export.folder / "parity.json", {"score": 0.125})
    again = put(grid, "three")
    assert (again.version, again.new) == (plain.version, False)
    old = client.get_run(client.get_model_version(plain.name, plain.version).run_id)
    (new,) = client.search_runs([old.info.experiment_id], f"tags.folder = '{cell.folder}'")
    assert (old.info.lifecycle_stage, old.data.tags["folder"]) == ("deleted", cell.folder)
    assert new.data.metrics["score_int8"] == 0.125


def test_the_command_takes_the_best_recipe_or_what_is_asked_for(grid: tuple[Plan, Path], plain: Registered) -> None:
    plan, results = grid
    params = results.parent / "params.yaml"
    params.write_text(json.dumps(plan.params.model_dump(mode="json")))
    words = ["register", "--params", str(params), "--results", str(results)]
    done = CliRunner().invoke(app, [*words, "--cell", str(results / plain.cell)], catch_exceptions=False)
    assert done.output.startswith("models:/distilgrid-reviews/1: was registered before")
    metrics = {cell.folder: read_json(results / cell.folder / "metrics.json") for cell in plan.students}
    scores = {folder: found["dev"][found["score_name"]] for folder, found in metrics.items()}
    chosen = best_cell(plan, results, task="topics", wanted={"method": None, "student": None, "seed": 1})
    topics = [c for c in plan.students if (c.labels["task"], c.labels["seed"]) == ("topics", 1)]
    assert chosen.folder == max((cell.folder for cell in topics), key=scores.__getitem__)
    assert best_cell(plan, results, task="topics", wanted={"method": "finetune"}).labels["method"] == "finetune"


def test_dev_decides_which_recipe_and_seed_is_registered(
    grid: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, results = grid
    cells = [c for c in plan.students if (c.labels["task"], c.labels["method"]) == ("topics", "finetune")]
    for cell in cells:

        def read(model: Finished, name: str, *, best: Path = results / cell.folder) -> Any:
            found = read_json(model.folder / name)
            if model.folder == best:
                found["dev"][found["score_name"]] = 2.0
            return found

        monkeypatch.setattr(Finished, "json", read)
        assert best_cell(plan, results, task="topics", wanted={}) == cell


def test_what_learned_nothing_is_not_registered(grid: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, results = grid
    wanted = {"method": "kd", "student": "two"}
    usual = best_cell(plan, results, task="topics", wanted=wanted)
    failed = {results / usual.folder}

    def read(model: Finished, name: str) -> Any:
        return read_json(model.folder / name) | ({"constant": True} if model.folder in failed else {})

    monkeypatch.setattr(Finished, "json", read)
    assert best_cell(plan, results, task="topics", wanted=wanted).labels["seed"] == 1 - usual.labels["seed"]
    failed |= {results / cell.folder for cell in plan.students}
    with pytest.raises(UserError, match=r"no student of 'topics' can be registered: .* it learned nothing; train"):
        best_cell(plan, results, task="topics", wanted=wanted)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"task": None}, "--task: the grid has several"),
        ({"task": "reviewz"}, "--task: .*did you mean 'reviews'"),
        ({"task": "reviews", "student": "tree"}, "--student: .*did you mean 'three'"),
        ({"task": "reviews", "seed": 9}, "--seed: .*'9'"),
    ],
)
def test_what_the_grid_does_not_have_is_refused(grid: tuple[Plan, Path], asked: Mapping[str, Any], told: str) -> None:
    wanted = {axis: value for axis, value in asked.items() if axis != "task"}
    with pytest.raises(UserError, match=told):
        best_cell(*grid, task=asked["task"], wanted=wanted)


def test_a_folder_of_another_grid_and_a_bad_name_are_refused(grid: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, results = grid
    with pytest.raises(UserError, match="no teacher or student of the grid 'fabricated'"):
        cell_in(plan, results, tmp_path)
    with pytest.raises(UserError, match="--name: 'a/b'"):
        register(plan=plan, results=results, cell=student(plan, "three"), uri=default_uri(results), name="a/b")


@pytest.mark.slow
def test_a_server_keeps_models_too(grid: tuple[Plan, Path], tmp_path: Path) -> None:
    import mlflow

    plan, results = grid
    with mlflow_server(tmp_path, f"sqlite:///{tmp_path / 'server.db'}", port=free_port()) as address:
        made = register(plan=plan, results=results, cell=student(plan, "two"), uri=address)
        again = register(plan=plan, results=results, cell=student(plan, "two"), uri=address)
        assert (made.new, again.new, again.uri) == (True, False, made.uri)
        mlflow.set_tracking_uri(address)
        served = mlflow.pyfunc.load_model(made.uri)
        assert served.predict(pd.DataFrame({"text": ["good film"]}))["label"].tolist()[0] in LABELS.values()


def packaged(dataset: Dataset, model: Any, tokenizer: Any, folder: Path) -> Any:
    """A model that was never trained, as MLflow loads it."""
    from mlflow import pyfunc
    from mlflow.models import Model

    from distilgrid.tracking.packaging import PackagedCell, package

    with writing(folder / "cell", recipe={"stage": "finetune"}, labels={}) as scratch:
        save_model(model, tokenizer, scratch)
    package(PackagedCell(open_trained(folder / "cell"), dataset, LONGEST), folder / "model", Model())
    return pyfunc.load_model(str(folder / "model"))


def test_images_are_served_from_pixels(tmp_path: Path) -> None:
    rows = [{"image": encoded(p), "label": str(i % 2)} for i, p in enumerate(pictures(40, 8, 8, 3))]
    pd.DataFrame(rows).to_parquet(tmp_path / "pictures.parquet")
    source = {"kind": "image", "source": f"parquet:{tmp_path / 'pictures.parquet'}", "label": "label"}
    dataset = prepared("pictures", source, tmp_path)
    model = new_model("new:resnet-8", dataset, seed=0)
    served = packaged(dataset, model, None, tmp_path)
    pixels = read_pixels(dataset, "train")[:5]
    import torch

    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).logits
    answer = served.predict(pixels)
    assert answer["label"].tolist() == [dataset.labels[i] for i in logits.argmax(dim=1)]
    assert np.allclose(answer["score"], logits.softmax(dim=1).max(dim=1).values, atol=1e-5)


def test_a_regression_of_pairs_is_served_as_numbers(tmp_path: Path, tiny_model: Path) -> None:
    texts = [text for text, _ in sentences(60, seed=3)]
    frame = pd.DataFrame({"a": texts[:30], "b": texts[30:], "likeness": np.linspace(0, 5, 30)})
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    source = {"source": f"csv:{tmp_path / 'pairs.csv'}", "text": ["a", "b"], "label": "likeness"}
    dataset = prepared("pairs", {**source, "kind": "number", "metrics": ["pearson"]}, tmp_path)
    tokenizer = load_tokenizer(tiny_model)
    model = bert(vocab_size=len(tokenizer), num_labels=1)
    model.config.problem_type = "regression"
    served = packaged(dataset, model, tokenizer, tmp_path)
    first, second = [*texts[:4], 40 * "good film "], texts[4:9]
    answer = served.predict(pd.DataFrame({"text": first, "text_pair": second}))
    import torch

    cut = {"truncation": True, "max_length": LONGEST, "return_tensors": "pt"}
    with torch.inference_mode():
        rows = [tokenizer(*pair, **cut) for pair in zip(first, second, strict=True)]
        wanted = [float(model(**row).logits) for row in rows]
    assert np.allclose(answer["value"], wanted, atol=1e-5)


def test_pairs_reach_a_plain_classifier_as_pairs(tmp_path: Path, tiny_model: Path) -> None:
    texts = [text for text, _ in sentences(60, seed=3)]
    frame = pd.DataFrame({"a": texts[:30], "b": texts[30:], "same": ["no", "yes"] * 15})
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    source = {"source": f"csv:{tmp_path / 'pairs.csv'}", "text": ["a", "b"], "label": "same"}
    dataset = prepared("pairs", source, tmp_path)
    tokenizer = load_tokenizer(tiny_model)
    model = bert(vocab_size=len(tokenizer), num_labels=2)
    served = packaged(dataset, model, tokenizer, tmp_path)
    first, second = [*texts[:4], 40 * "good film "], texts[4:9]
    answer = served.predict(pd.DataFrame({"text": first, "text_pair": second}))
    import torch

    cut = {"truncation": True, "max_length": LONGEST, "return_tensors": "pt"}
    with torch.inference_mode():
        rows = [tokenizer(*pair, **cut) for pair in zip(first, second, strict=True)]
        odds = torch.cat([model(**row).logits.softmax(dim=1) for row in rows])
    assert np.allclose(answer["score"], odds.max(dim=1).values, atol=1e-5)


def prepared(task: str, spec: Mapping[str, Any], folder: Path) -> Dataset:
    prepare(task=task, spec=TaskSpec(**spec), data=Data(), out=folder / "data")
    return open_dataset(folder / "data")


def test_a_store_that_changes_a_file_makes_no_version(
    grid: tuple[Plan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a full disk of a server does, or a proxy: what was stored is read again."""
    from mlflow import MlflowClient

    plan, results = grid
    uri, log = f"sqlite:///{tmp_path / 'mlflow.db'}", MlflowClient.log_model_artifacts

    def cut_short(client: MlflowClient, model_id: str, folder: str) -> None:
        (path,) = Path(folder).rglob("model.safetensors")
        path.write_bytes(path.read_bytes()[:-1])
        log(client, model_id, folder)

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", cut_short)
    with pytest.raises(UserError, match=r"model\.safetensors: content differs.*check the store"):
        register(plan=plan, results=results, cell=student(plan, "two"), uri=uri)
    assert MlflowClient(uri).search_model_versions("name = 'distilgrid-reviews'") == []
    monkeypatch.undo()
    assert register(plan=plan, results=results, cell=student(plan, "two"), uri=uri).new


def test_a_version_whose_files_were_damaged_in_the_store_is_named(grid: tuple[Plan, Path], tmp_path: Path) -> None:
    from mlflow import MlflowClient

    plan, results = grid
    given = {"plan": plan, "results": results, "cell": student(plan, "two"), "uri": f"sqlite:///{tmp_path / 'm.db'}"}
    made, client = register(**given), MlflowClient(given["uri"])
    (path,) = Path(client.get_model_version(made.name, made.version).source.removeprefix("file://")).rglob(
        "*.safetensors"
    )
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"model\.safetensors: content differs.*delete this version in MLflow"):
        register(**given)
    path.unlink()
    with pytest.raises(UserError, match=r"delete this version in MLflow"):
        register(**given)
    client.delete_model_version(made.name, made.version)
    again = register(**given)
    assert again.new and again.version != made.version
    assert not register(**given).new
