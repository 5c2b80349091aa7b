"""Runtimes, and the parity gate of the export stage, on tiny random models."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tests.unit.made import export
from tests.unit.word_models import CONFIGS, VOCABULARY, write_dataset, write_model

from distilgrid.benchmark.settings import Export, Runtime
from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.runtimes import onnx_export as onnx_module
from distilgrid.runtimes.base import RunOptions, UnsupportedError
from distilgrid.runtimes.onnx_export import export_onnx
from distilgrid.runtimes.onnxruntime import OnnxSession
from distilgrid.runtimes.parity import gate_batches, gate_rows, session_outputs
from distilgrid.runtimes.registry import OWN_RUNTIMES, RUNTIMES, open_runtime
from distilgrid.tasks.batching import encode
from distilgrid.tasks.dataset import Dataset, texts
from distilgrid.tasks.kind import score
from distilgrid.training.predictor import predict


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), dataset)


@pytest.fixture
def run_export(dataset: Dataset, model: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(runtime: str = "onnxruntime-fp32", **options: Any) -> dict[str, Any]:
        arguments = {"data": dataset.folder, "model": model, "settings": Export(), "out": tmp_path / "out", **options}
        return export(runtime=runtime, **arguments)

    return run


def break_exporter(monkeypatch: pytest.MonkeyPatch, damage: Callable[[Any], None]) -> None:
    """Let the exporter write a model whose weights are not those of the trained one."""

    def wrong(model: Any, example: Any, path: Path) -> None:
        damaged = copy.deepcopy(model)
        with torch.no_grad():
            damage(damaged)
        export_onnx(damaged, example, path)

    monkeypatch.setattr(onnx_module, "export_onnx", wrong)


def test_parameters_name_exactly_the_runtimes_of_the_table() -> None:
    names: TypeAdapter[str] = TypeAdapter(Runtime)
    assert [names.validate_python(name) for name in RUNTIMES] == list(RUNTIMES)
    assert names.json_schema()["enum"] == list(OWN_RUNTIMES)
    with pytest.raises(ValidationError, match="unknown runtime; did you mean 'onnxruntime-int8'"):
        names.validate_python("onnxruntime-int")


def test_unknown_runtime_is_refused_with_a_suggestion(run_export: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="unknown runtime 'onnxruntime-fp23'; did you mean 'onnxruntime-fp32'"):
        run_export("onnxruntime-fp23")


def test_the_reference_is_not_compared_with_itself(run_export: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="what all others are compared with; choose one of: torch-eager-bf16"):
        run_export("torch-eager-fp32")


@pytest.mark.parametrize("runtime", ["torch-eager-bf16", pytest.param("torch-compile-fp32", marks=pytest.mark.slow)])
def test_torch_in_other_ways_is_judged_though_nothing_is_converted(
    run_export: Callable[..., Any], model: Path, tmp_path: Path, runtime: str
) -> None:
    parity = run_export(runtime)
    if "C++ compiler" in str(parity["reason"]):
        pytest.skip(parity["reason"])
    assert parity["accepted"] and parity["rows"] == 60 and parity["label_agreement"] > 0.9
    assert parity["size_bytes"] == (model / "model.safetensors").stat().st_size
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"parity.json", "run.json"}
    assert (parity["tolerance"] is None) == (runtime == "torch-eager-bf16")


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime: pip install 'distilgrid\[onnx\]'"):
        open_runtime("onnxruntime-int8")


def test_table_of_runtimes_is_light() -> None:
    code = (
        "import sys, distilgrid.runtimes.registry; sys.exit(bool({'torch', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", CONFIGS)
def test_export_has_the_tokenisers_inputs_and_computes_the_same_at_any_shape(
    kind: str, dataset: Dataset, tmp_path: Path
) -> None:
    import onnxruntime as ort

    folder = write_model(tmp_path / "model", dataset, kind)
    parity = export(
        data=dataset.folder,
        model=folder,
        runtime="onnxruntime-fp32",
        settings=Export(tolerance=1e-5),
        out=tmp_path / "out",
    )
    assert parity["accepted"], parity["reason"]
    inputs = ort.InferenceSession(str(tmp_path / "out/model.onnx")).get_inputs()
    names = load_tokenizer(folder)("word1 word2").keys()
    assert {i.name for i in inputs} == set(names)
    assert all(isinstance(axis, str) for i in inputs for axis in i.shape)
    session, torch_model = OnnxSession(tmp_path / "out", RunOptions()), load_model(folder)
    for batch, length in ((1, 1), (5, 3), (2, 33)):
        ids = torch.randint(5, len(VOCABULARY), (batch, length))
        mask = torch.ones_like(ids)
        mask[-1, (length + 1) // 2 :] = 0
        filled = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        feed = {name: filled[name] for name in names}
        with torch.inference_mode():
            expected = torch_model(**feed).logits.numpy()
        actual = session.bind({name: value.numpy() for name, value in feed.items()})()
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_fusion_is_counted(run_export: Callable[..., Any]) -> None:
    graph = run_export()["graph"]
    assert graph["fused"] == {"attention": 0, "layer_norm": 5, "gelu": 2}
    assert graph["before"]["Erf"] == 2 and not {"Erf", "ReduceMean", "Sqrt"} & set(graph["after"])
    assert sum(graph["after"].values()) < sum(graph["before"].values())


def test_without_optimisation_the_logits_stay(run_export: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    run_export()
    feed = {name: value.numpy() for name, value in load_tokenizer(model)("word1", return_tensors="pt").items()}
    both = [OnnxSession(tmp_path / "out", RunOptions(optimised=on)).bind(feed)() for on in (True, False)]
    np.testing.assert_allclose(*both, atol=1e-5)


def test_accepted_export_reports_its_own_scores(
    run_export: Callable[..., Any], dataset: Dataset, model: Path, tmp_path: Path
) -> None:
    parity = run_export()
    dev, read = dataset.split("dev"), load_tokenizer(model)
    logits = predict(load_model(model), encode(read, *texts(dev), max_length=32), kind=dataset.task_kind)
    labels = dev["label"].to_numpy()
    assert parity["dev"] == score(dataset.task_kind, dataset.metrics, labels=labels, outputs=logits)
    metrics = read_json(model / "metrics.json")
    assert parity["accepted"] and parity["reason"] is None
    assert 0 < parity["max_abs_difference"] < 1e-5
    assert parity["rows"] == 60
    assert parity["label_agreement"] == 1.0
    assert parity["score"] == parity["torch_score"] == metrics["score"]
    assert set(parity["validation"]) == {"validation", "validation_other"}
    assert parity["size_bytes"] == (tmp_path / "out/model.onnx").stat().st_size
    run = verified(tmp_path / "out", stage="export")
    assert set(run["files"]) == {"model.onnx", "tokenizer.json", "parity.json"}
    assert run["labels"]["runtime"] == "onnxruntime-fp32" and run["labels"]["student"] == "bert"
    assert read_json(tmp_path / "out/parity.json") == parity


def test_equal_weights_give_equal_bytes(run_export: Callable[..., Any], tmp_path: Path) -> None:
    for runtime in ("onnxruntime-fp32", "onnxruntime-int8"):
        for name in ("one", "two"):
            run_export(runtime, out=tmp_path / name)
        assert (tmp_path / "one/model.onnx").read_bytes() == (tmp_path / "two/model.onnx").read_bytes()


def test_changed_weights_are_rejected(
    run_export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    break_exporter(monkeypatch, lambda model: model.classifier.weight.view(-1)[0].add_(0.05))
    parity = run_export()
    assert not parity["accepted"]
    assert "logits differ from torch's by" in parity["reason"]
    assert parity["max_abs_difference"] > parity["tolerance"]
    assert set(verified(tmp_path / "out")["files"]) == {"model.onnx", "tokenizer.json", "parity.json"}


def test_tolerance_is_the_gate(run_export: Callable[..., Any]) -> None:
    assert not run_export(settings=Export(tolerance=1e-12))["accepted"]


@pytest.mark.parametrize("runtime", ["onnxruntime-fp32", "onnxruntime-int8"])
def test_logits_that_are_not_finite_are_rejected(
    runtime: str, run_export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_exporter(monkeypatch, lambda model: model.classifier.bias.fill_(float("nan")))
    parity = run_export(runtime)
    assert not parity["accepted"]
    assert parity["reason"] == "logits are not finite"
    assert parity["max_abs_difference"] is None and parity["score"] is None


def test_failed_conversion_is_written_with_its_reason(
    run_export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("operator not supported\nmore lines")

    monkeypatch.setattr(onnx_module, "export_onnx", fail)
    parity = run_export()
    assert not parity["accepted"] and parity["reason"] == "conversion failed: operator not supported"
    assert parity["size_bytes"] == 0 and parity["graph"] is None
    assert set(verified(tmp_path / "out", stage="export")["files"]) == {"tokenizer.json", "parity.json"}


def test_full_disk_is_no_property_of_the_export(
    run_export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_module, "export_onnx", fail)
    with pytest.raises(UserError, match="no space left"):
        run_export()
    assert not (tmp_path / "out/run.json").exists()


def test_int8_reports_what_it_costs(
    run_export: Callable[..., Any], dataset: Dataset, model: Path, tmp_path: Path
) -> None:
    exact = run_export(out=tmp_path / "exact")
    parity = run_export("onnxruntime-int8")
    assert parity["accepted"] and parity["tolerance"] is None
    assert parity["max_abs_difference"] > exact["max_abs_difference"]
    assert parity["size_bytes"] < exact["size_bytes"]
    session = open_runtime("onnxruntime-int8")(tmp_path / "out", RunOptions())
    same = []
    for split in dataset.validation:
        frame = dataset.split(split)
        encodings = encode(load_tokenizer(model), *texts(frame), max_length=32)
        trained = load_model(model)
        logits = session_outputs(session, encodings, kind=dataset.task_kind, model=trained, label="test")
        assert parity["validation"][split] == score(
            dataset.task_kind, ["accuracy"], labels=frame["label"].to_numpy(), outputs=logits
        )
        same += list(
            logits.argmax(axis=1) == predict(load_model(model), encodings, kind=dataset.task_kind).argmax(axis=1)
        )
    assert len(same) == 80
    assert parity["label_agreement"] == np.mean(same)
    assert parity["label_agreement"] > 0.8


def test_low_precision_that_predicts_other_labels_is_rejected(
    run_export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_exporter(monkeypatch, lambda model: model.classifier.weight.neg_())
    parity = run_export("onnxruntime-int8")
    assert not parity["accepted"] and parity["label_agreement"] < 0.9
    same = f"{parity['label_agreement']:.1%}"
    assert parity["reason"] == f"predicts torch's label on {same} of the rows only, the least is 90.0%"
    assert run_export("onnxruntime-int8", settings=Export(agreement=0))["accepted"]


def test_low_precision_of_a_regression_must_follow_torchs_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_dataset(tmp_path / "data", kind="number")
    folder = write_model(tmp_path / "model", dataset)
    break_exporter(monkeypatch, lambda model: model.classifier.weight.neg_())
    asked = {"data": dataset.folder, "model": folder, "runtime": "onnxruntime-int8", "settings": Export()}
    parity = export(**asked, out=tmp_path / "out")
    assert not parity["accepted"] and parity["correlation"] < 0
    assert "correlates with torch's numbers by -" in parity["reason"]


def test_dynamic_int8_uses_seven_bits_so_that_no_cpu_overflows(run_export: Callable[..., Any], tmp_path: Path) -> None:
    """Two products of 8 and 8 bits would not fit the 16 that x86 without VNNI adds them in."""
    import onnx

    run_export("onnxruntime-int8")
    graph = onnx.load(tmp_path / "out/model.onnx").graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    products = [node.input[1] for node in graph.node if node.op_type == "MatMulInteger"]
    assert len(products) == 14 and all(weights[name].dtype == np.int8 for name in products)
    assert max(np.abs(weights[name].astype(int)).max() for name in products) == 64


def test_regression_has_no_label_agreement(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", kind="number")
    folder = write_model(tmp_path / "model", dataset)
    parity = export(
        data=dataset.folder, model=folder, runtime="onnxruntime-int8", settings=Export(), out=tmp_path / "out"
    )
    assert parity["accepted"] and parity["label_agreement"] is None and parity["correlation"] > 0.9
    assert parity["score_name"] == "pearson"
    assert abs(parity["score"] - parity["torch_score"]) < 0.1


def test_model_of_other_data_is_refused(run_export: Callable[..., Any], tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "data", kind="number")
    with pytest.raises(UserError, match="was trained on data"):
        run_export(data=other.folder)


def test_folder_that_holds_no_model_is_refused(run_export: Callable[..., Any], dataset: Dataset) -> None:
    with pytest.raises(UserError, match="holds the output of 'prepare'"):
        run_export(model=dataset.folder)


def test_gate_sees_every_chosen_row_at_several_shapes(dataset: Dataset, model: Path) -> None:
    assert len(gate_rows(10_000)) == 256
    assert gate_rows(7).tolist() == list(range(7))
    encodings = encode(load_tokenizer(model), *texts(dataset.split("validation")), max_length=32)
    shapes = [tuple(batch["input_ids"].shape) for batch in gate_batches(encodings, gate_rows(60))]
    assert [batch for batch, _ in shapes] == [1, 3, 8, 32, 1, 3, 8, 4]
    assert len({length for _, length in shapes}) > 2


def test_fp16_is_judged_on_a_cpu_but_not_measured_there(run_export: Callable[..., Any], tmp_path: Path) -> None:
    parity = run_export("onnxruntime-fp16")
    assert parity["accepted"], parity["reason"]
    assert 1e-6 < parity["max_abs_difference"] < 0.1
    with pytest.raises(UnsupportedError, match="few fp16 kernels"):
        open_runtime("onnxruntime-fp16")(tmp_path / "out", RunOptions())
