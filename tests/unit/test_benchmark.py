"""The benchmark stage, on tiny models that the real stages made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.unit.made import benchmark
from tests.unit.tiny_benchmark import LABELS, QUICK, Chain, convert

from distilgrid.benchmark import shapes as shapes_module
from distilgrid.benchmark.entries import Model, open_model
from distilgrid.benchmark.protocol import Series
from distilgrid.benchmark.settings import Benchmark
from distilgrid.benchmark.shapes import choose_texts, label_calls
from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.core.machine import usable_cores
from distilgrid.runtimes.base import RunOptions
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.text_reader import TextReader
from distilgrid.tasks.dataset import open_dataset


def test_every_model_is_measured_on_every_runtime(
    run_benchmark: Callable[..., Any], chain: Chain, tmp_path: Path
) -> None:
    entries = run_benchmark()
    runtimes = ["torch-eager-fp32", "onnxruntime-fp32", "onnxruntime-int8"]
    expected = [(*model, runtime) for model in (("tiny", "teacher"), ("half", "student")) for runtime in runtimes]
    assert [(c["name"], c["role"], c["runtime"]) for c in entries] == expected
    for entry in entries:
        assert entry["skipped"] is None
        assert [(s["batch_size"], s["length"]) for s in entry["shapes"]] == [(1, 8), (1, 16)]
        for shape in entry["shapes"]:
            assert len(shape["samples_ms"]) == QUICK["repetitions"]
            assert shape["p50_ms"] == pytest.approx(np.median(shape["samples_ms"]), abs=1e-4)
            assert shape["p50_ms"] <= shape["p90_ms"] <= max(shape["samples_ms"])
            assert shape["throughput"] == pytest.approx(1e3 / shape["p50_ms"], rel=1e-3)
    sizes = [c["size_bytes"] for c in entries[:3]]
    assert sizes[0] == (chain.teacher / "model.safetensors").stat().st_size
    assert sizes[1:] == [(folder / "model.onnx").stat().st_size for folder in chain.exports[:2]]
    assert {c["parameters"] for c in entries} == {read_json(chain.teacher / "metrics.json")["parameters"]}
    stored = read_json(tmp_path / "out/benchmark.json")
    assert stored["entries"] == entries
    assert stored["device"] == "local-cpu"
    assert {"warmup", "priming", "burst", "seed"} <= set(stored["protocol"])
    assert {"cpu", "cores", "flags"} <= set(stored["machine"])
    assert [len(values) for values in stored["load_average"].values()] == [3, 3]
    assert set(verified(tmp_path / "out", stage="benchmark")["files"]) == {"benchmark.json"}


def test_drifting_measurements_are_marked_and_announced(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def drifting(works: list[Any], **_: Any) -> list[Series]:
        return [Series([[1.0], [1.0], [2.0], [2.0]]) for _ in works]

    monkeypatch.setattr(shapes_module, "measure", drifting)
    entries = run_benchmark(lengths=[8])
    assert "noisy machine: 6 of 6 measurements drift or are not well known to the last, by up to 67 %" in caplog.text
    assert all(shape["noisy"] for entry in entries for shape in entry["shapes"])


def test_threads_are_measured_one_after_the_other(run_benchmark: Callable[..., Any]) -> None:
    if usable_cores() < 2:
        pytest.skip("one core only")
    for entry in run_benchmark(lengths=[8], device="local-cpu-2"):
        assert [shape["threads"] for shape in entry["shapes"]] == [2, 1]


def test_texts_are_measured_at_their_own_lengths_and_to_the_label(
    run_benchmark: Callable[..., Any], chain: Chain
) -> None:
    for entry in run_benchmark(lengths=[8], texts=6, data=chain.data):
        kinds = {shape["kind"]: shape for shape in entry["shapes"]}
        assert list(kinds) == ["shape", "texts", "text-to-label"]
        for kind in ("texts", "text-to-label"):
            assert kinds[kind]["texts"] == 6 and len(kinds[kind]["samples_ms"]) == 2 * 6
            assert 3 <= kinds[kind]["tokens"]["least"] <= kinds[kind]["tokens"]["most"] <= 16


def test_texts_want_data(run_benchmark: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"--data: benchmark\.texts wants validation texts"):
        run_benchmark(texts=6)


def test_labels_of_texts_are_those_of_the_stored_predictions(chain: Chain) -> None:
    dataset, model = open_dataset(chain.data), open_model(chain.teacher)
    texts = choose_texts(dataset, chain.teacher, count=100, longest=16)
    reader = TextReader(chain.teacher, names=model.input_names, longest=16)
    session = open_runtime("torch-eager-fp32")(chain.teacher, RunOptions())
    calls = label_calls(texts, reader, session)
    found = {row[0]: call() for row, call in zip(texts.rows, calls, strict=True)}
    stored = pd.read_parquet(chain.teacher / "predictions.parquet")
    names = [dataset.labels[int(np.argmax(logits))] for logits in stored["logits"]]
    expected = dict(zip(dataset.split("validation")["text_a"], names, strict=True))
    assert {text: expected[text] for text in found} == found


def test_chosen_texts_cover_the_lengths(chain: Chain) -> None:
    dataset = open_dataset(chain.data)
    reader = TextReader(chain.teacher, names=["input_ids"], longest=16)
    everything = [reader(text)["input_ids"].size for text in dataset.split("validation")["text_a"]]
    chosen = [reader(*row)["input_ids"].size for row in choose_texts(dataset, chain.teacher, count=4, longest=16).rows]
    assert len(chosen) == 4
    assert (min(chosen), max(chosen)) == (min(everything), max(everything))


def test_graph_runtimes_are_measured_without_their_optimisation(run_benchmark: Callable[..., Any]) -> None:
    found = [(c["runtime"], c["optimised"]) for c in run_benchmark(lengths=[8], unfused=True)[:5]]
    graphs = [(name, on) for name in ("onnxruntime-fp32", "onnxruntime-int8") for on in (True, False)]
    assert found == [("torch-eager-fp32", True), *graphs]


def test_export_of_a_model_that_is_not_measured_is_refused(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made from a model with key"):
        benchmark(
            settings=Benchmark(),
            device="local-cpu",
            models=[chain.teacher],
            exports=chain.exports,
            out=tmp_path / "out",
            labels=LABELS,
        )


def test_damaged_export_is_refused(run_benchmark: Callable[..., Any], chain: Chain) -> None:
    damaged = convert(chain.teacher.parent, "tiny", "fp32", tolerance=1e-3)
    weights = bytearray((damaged / "model.onnx").read_bytes())
    weights[-5] ^= 1
    (damaged / "model.onnx").write_bytes(weights)
    with pytest.raises(UserError, match=r"model\.onnx: .*damaged"):
        run_benchmark([damaged])


def test_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--model"):
        benchmark(settings=Benchmark(), device="local-cpu", models=[], exports=[], out=tmp_path / "out", labels=LABELS)


def test_inputs_are_random_ids_under_a_full_mask(chain: Chain) -> None:
    model = open_model(chain.teacher)
    inputs = model.reads.make(3, 50)
    assert set(inputs) == {"input_ids", "attention_mask", "token_type_ids"}
    assert all(values.shape == (3, 50) and values.dtype == np.int64 for values in inputs.values())
    assert inputs["attention_mask"].all()
    assert inputs["input_ids"].min() > 0 == model.config["pad_token_id"]
    assert inputs["input_ids"].max() < model.config["vocab_size"]
    assert len(np.unique(inputs["input_ids"])) > 10
    np.testing.assert_array_equal(inputs["input_ids"], model.reads.make(3, 50)["input_ids"])


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "relative"}, None),
    ],
)
def test_longest_input_follows_from_the_configuration(config: dict[str, Any], longest: int | None) -> None:
    assert Model(Path("x"), {"labels": {}}, {}, config).longest == longest
