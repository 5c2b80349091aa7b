"""Models of images through export and benchmark, on tiny models that the real stages made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.unit.fabricate_annealing import image_task
from tests.unit.made import benchmark, export, finetune, prepare

from distilgrid.benchmark.entries import open_model
from distilgrid.benchmark.settings import Benchmark, Export
from distilgrid.core.artefacts import read_json, verified
from distilgrid.models.io import load_model
from distilgrid.runtimes import onnx_export as onnx_module
from distilgrid.runtimes.base import RunOptions
from distilgrid.runtimes.onnx_export import export_onnx
from distilgrid.runtimes.onnxruntime import OnnxSession
from distilgrid.runtimes.parity import gate_batches, gate_rows, session_outputs
from distilgrid.runtimes.registry import open_runtime
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.kind import find_kind
from distilgrid.tasks.kinds.image.rows import read_pixels
from distilgrid.tasks.kinds.image.views import Images
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

FP32, INT8 = "onnxruntime-fp32", "onnxruntime-int8"
SOURCES = {"deep": "new:resnet-14-b", "shallow": "new:resnet-8", "plain": "new:plain-2"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared images, three models trained on them, and an export of each for each runtime."""
    root = tmp_path_factory.mktemp("images")
    prepare(task="shapes", spec=TaskSpec(**image_task(root)), data=Data(), out=root / "data")
    training = Training(epochs=1, learning_rate=1e-2, precision="fp32")
    for name, source in SOURCES.items():
        method = "teacher" if name == "deep" else "finetune"
        labels = {"task": "shapes", "teacher": "deep", "method": method, "student": name, "seed": 0}
        finetune(data=root / "data", source=source, training=training, seed=0, out=root / name, labels=labels)
        for runtime in (FP32, INT8):
            out = root / f"{name}-{runtime}"
            export(data=root / "data", model=root / name, runtime=runtime, settings=Export(), out=out)
    return root


@pytest.fixture(scope="module")
def images(root: Path) -> Images:
    return Images(read_pixels(open_dataset(root / "data"), "test"))


@pytest.mark.parametrize("name", SOURCES)
def test_an_export_reads_pixels_and_computes_the_same_at_any_batch_size(name: str, root: Path, images: Images) -> None:
    import onnxruntime as ort

    folder = root / f"{name}-{FP32}"
    parity = read_json(folder / "parity.json")
    assert parity["accepted"], parity["reason"]
    assert parity["rows"] == 200 and parity["label_agreement"] == 1.0
    assert parity["score"] == parity["torch_score"] == read_json(root / name / "metrics.json")["score"]
    (pixels,) = ort.InferenceSession(str(folder / "model.onnx")).get_inputs()
    assert (pixels.name, pixels.type, pixels.shape) == ("pixel_values", "tensor(uint8)", ["batch", 1, 8, 8])
    session, model = OnnxSession(folder, RunOptions()), load_model(root / name)
    for batch in (1, 2, 7):
        inputs = images.batch(range(batch))
        with torch.inference_mode():
            expected = model(**inputs).logits.numpy()
        actual = session.bind({"pixel_values": inputs["pixel_values"].numpy()})()
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_an_export_of_images_has_no_tokeniser(root: Path) -> None:
    assert set(verified(root / f"shallow-{FP32}", stage="export")["files"]) == {"model.onnx", "parity.json"}


def test_batch_norms_are_folded_into_convolutions(root: Path) -> None:
    import onnx

    operators = [node.op_type for node in onnx.load(root / f"shallow-{FP32}" / "model.onnx").graph.node]
    assert operators.count("Conv") == 7 and "BatchNormalization" not in operators


def test_the_gate_sees_every_image_at_several_batch_sizes(images: Images) -> None:
    batches = list(gate_batches(images, gate_rows(60)))
    assert [len(batch["pixel_values"]) for batch in batches] == [1, 3, 8, 32, 1, 3, 8, 4]
    rows = gate_rows(60)
    seen = torch.cat([batch["pixel_values"] for batch in batches])
    np.testing.assert_array_equal(seen.numpy(), images.batch(rows.tolist())["pixel_values"].numpy())


def test_changed_weights_are_rejected(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def wrong(model: Any, example: Any, path: Path) -> None:
        with torch.no_grad():
            model.classifier.bias[0] += 0.01
        export_onnx(model, example, path)
        with torch.no_grad():
            model.classifier.bias[0] -= 0.01

    monkeypatch.setattr(onnx_module, "export_onnx", wrong)
    parity = export(data=root / "data", model=root / "shallow", runtime=FP32, settings=Export(), out=tmp_path / "out")
    assert not parity["accepted"]
    assert "logits differ from torch's by 0.01" in parity["reason"]


def test_int8_is_rejected_with_the_reason_and_not_faked(root: Path) -> None:
    parity = read_json(root / f"shallow-{INT8}" / "parity.json")
    assert not parity["accepted"]
    assert parity["reason"].startswith("dynamic quantisation leaves convolutions in fp32")
    assert parity["score"] is parity["max_abs_difference"] is None
    assert parity["size_bytes"] == 0


def test_scores_of_an_export_are_those_of_its_own_logits(root: Path, images: Images) -> None:
    session = open_runtime(FP32)(root / f"deep-{FP32}", RunOptions())
    kind, model = find_kind("image"), load_model(root / "deep")
    logits = session_outputs(session, images, kind=kind, model=model, label="test")
    stored = pd.read_parquet(root / "deep" / "predictions.parquet")
    np.testing.assert_allclose(logits, np.stack(stored["logits"].to_list()), atol=1e-4)


@pytest.fixture
def run_benchmark(root: Path, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    def run(**options: Any) -> list[dict[str, Any]]:
        settings = Benchmark(**{"lengths": [8, 16], "warmup": 1, "repetitions": 5, "max_repetitions": 5, **options})
        exports = [root / f"{name}-{runtime}" for name in ("deep", "shallow") for runtime in (FP32, INT8)]
        models = [root / "deep", root / "shallow"]
        labels = {"task": "shapes", "teacher": "deep"}
        result = benchmark(
            settings=settings, device="local-cpu", models=models, exports=exports, out=tmp_path / "out", labels=labels
        )
        entries: list[dict[str, Any]] = result["entries"]
        return entries

    return run


def test_images_are_measured_once_for_each_batch_size(run_benchmark: Callable[..., Any]) -> None:
    entries = run_benchmark(batch_sizes=[1, 4])
    assert [c["runtime"] for c in entries] == ["torch-eager-fp32", FP32, INT8] * 2
    for entry in entries:
        if entry["runtime"] == INT8:
            assert entry["skipped"].startswith("export rejected: dynamic quantisation leaves convolutions")
            assert entry["shapes"] == []
        else:
            assert entry["skipped"] is None
            assert [(s["batch_size"], s["length"]) for s in entry["shapes"]] == [(1, 1), (4, 1)]
            assert entry["skipped_shapes"] == []


def test_inputs_are_random_pixels_of_the_models_size(root: Path, images: Images) -> None:
    model = open_model(root / "shallow")
    pixels = model.reads.make(5, 1)["pixel_values"]
    assert pixels.shape == (5, 1, 8, 8) and pixels.dtype == np.uint8
    assert len(np.unique(pixels)) > 100
    np.testing.assert_array_equal(pixels, model.reads.make(5, 1)["pixel_values"])
    seen = images.batch(range(5))["pixel_values"]
    assert seen.stride() == torch.from_numpy(pixels).stride(), "in memory as in training"
