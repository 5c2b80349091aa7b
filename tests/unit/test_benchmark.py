"""The latency protocol and the benchmark stage, on tiny models that the real stages made."""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilgrid.artefacts import read_json, verified
from distilgrid.benchmark.candidates import Model, open_model
from distilgrid.benchmark.protocol import BURST, PRIMING, measure, pinned
from distilgrid.errors import UserError
from distilgrid.grid import expand
from distilgrid.params import Benchmark, Data, parse_params
from distilgrid.recipes import benchmark_recipe, export_recipe
from distilgrid.stages import benchmark as benchmark_stage
from distilgrid.stages.benchmark import benchmark
from distilgrid.stages.export import export
from distilgrid.stages.finetune import finetune
from distilgrid.stages.prepare import prepare
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

LABELS = {"task": "reviews", "teacher": "tiny"}
QUICK = {"lengths": [8, 16], "warmup": 1, "repetitions": 6}


@dataclass(frozen=True)
class Chain:
    data: Path
    teacher: Path
    student: Path
    exports: list[Path]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, reviews_csv: Path) -> Chain:
    """A data set, two trained models, and for each model an accepted fp32 and an accepted int8 export."""
    root = tmp_path_factory.mktemp("chain")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=32, max_dev_rows=16), out=root / "data")
    training = Training(epochs=1, max_length=16, learning_rate=1e-3, precision="fp32")
    for seed, (name, method) in enumerate([("tiny", "teacher"), ("half", "kd")]):
        labels = {**LABELS, "method": method, "student": name, "seed": seed}
        source = f"path:{tiny_model}"
        finetune(data=root / "data", source=source, training=training, seed=seed, out=root / name, labels=labels)
    exports = [convert(root, name, runtime) for name in ("tiny", "half") for runtime in ("fp32", "int8")]
    return Chain(root / "data", root / "tiny", root / "half", exports)


def convert(root: Path, name: str, kind: str, *, tolerance: float = 1e-4) -> Path:
    out = root / f"{name}-onnx-{kind}-{tolerance:g}"
    export(data=root / "data", model=root / name, runtime=f"onnxruntime-{kind}", tolerance=tolerance, out=out)
    return out


@pytest.fixture
def run_benchmark(chain: Chain, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs the stage and returns the candidates."""

    def run(exports: list[Path] | None = None, **options: Any) -> list[dict[str, Any]]:
        settings = Benchmark(**{**QUICK, **options})
        models, given = [chain.teacher, chain.student], chain.exports if exports is None else exports
        result = benchmark(settings=settings, models=models, exports=given, out=tmp_path / "out", labels=LABELS)
        candidates: list[dict[str, Any]] = result["candidates"]
        return candidates

    return run


def test_candidates_take_turns_in_shuffled_rounds() -> None:
    calls: list[str] = []
    samples = measure([lambda n=n: calls.append(n) for n in "abc"], warmup=2, repetitions=BURST * 20, label="test")
    assert calls[:6] == list("aabbcc")
    turn = PRIMING + BURST
    turns = [calls[6:][i : i + turn] for i in range(0, len(calls) - 6, turn)]
    assert all(len(set(names)) == 1 for names in turns)
    rounds = ["".join(names[0] for names in turns[i : i + 3]) for i in range(0, len(turns), 3)]
    assert len(rounds) == 20
    assert all(sorted(order) == list("abc") for order in rounds)
    assert len(set(rounds)) > 1
    assert [len(times) for times in samples] == [BURST * 20] * 3


def test_order_of_rounds_is_seeded() -> None:
    def order() -> list[str]:
        calls: list[str] = []
        measure([lambda n=n: calls.append(n) for n in "abcd"], warmup=0, repetitions=30, label="test")
        return calls

    assert order() == order()


@pytest.mark.parametrize("repetitions", [3, BURST, BURST + 1])
def test_every_sample_is_kept(repetitions: int) -> None:
    samples = measure([lambda: None, lambda: None], warmup=0, repetitions=repetitions, label="test")
    assert [len(times) for times in samples] == [repetitions] * 2
    assert all(time > 0 for times in samples for time in times)


def test_garbage_collector_rests_while_timing() -> None:
    states: list[bool] = []
    measure([lambda: states.append(gc.isenabled())], warmup=0, repetitions=3, label="test")
    assert not any(states)
    assert gc.isenabled()


def test_garbage_collector_comes_back_after_a_failure() -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        measure([fail], warmup=0, repetitions=3, label="test")
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_cores_are_pinned_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1) as cores:
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == 1
    assert os.sched_getaffinity(0) == before


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match=r"benchmark\.threads: 100000, but this process may use"), pinned(100_000):
        pass


def test_every_model_is_measured_on_every_runtime(
    run_benchmark: Callable[..., Any], chain: Chain, tmp_path: Path
) -> None:
    candidates = run_benchmark()
    runtimes = ["torch-eager-fp32", "onnxruntime-fp32", "onnxruntime-int8"]
    expected = [(*model, runtime) for model in (("tiny", "teacher"), ("half", "student")) for runtime in runtimes]
    assert [(c["name"], c["role"], c["runtime"]) for c in candidates] == expected
    for candidate in candidates:
        assert candidate["skipped"] is None
        assert [(s["batch_size"], s["length"]) for s in candidate["shapes"]] == [(1, 8), (1, 16)]
        for shape in candidate["shapes"]:
            assert len(shape["samples_ms"]) == QUICK["repetitions"]
            assert shape["p50_ms"] == pytest.approx(np.median(shape["samples_ms"]), abs=1e-4)
            assert shape["p50_ms"] <= shape["p90_ms"] <= max(shape["samples_ms"])
    sizes = [c["size_bytes"] for c in candidates[:3]]
    assert sizes[0] == (chain.teacher / "model.safetensors").stat().st_size
    assert sizes[1:] == [(folder / "model.onnx").stat().st_size for folder in chain.exports[:2]]
    assert {c["parameters"] for c in candidates} == {read_json(chain.teacher / "metrics.json")["parameters"]}
    stored = read_json(tmp_path / "out/benchmark.json")
    assert stored["candidates"] == candidates
    assert stored["device"] == "local-cpu"
    assert {"threads", "warmup", "priming", "burst", "seed", "cores"} <= set(stored["protocol"])
    assert {"cpu", "cores", "flags"} <= set(stored["machine"])
    assert [len(values) for values in stored["load_average"].values()] == [3, 3]
    assert set(verified(tmp_path / "out", stage="benchmark")["files"]) == {"benchmark.json"}


def test_scattered_samples_are_announced(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def scattered(runs: list[Any], *, repetitions: int, **_: Any) -> list[list[float]]:
        return [[1.0] * (repetitions - 2) + [4.0, 4.0] for _ in runs]

    monkeypatch.setattr(benchmark_stage, "measure", scattered)
    run_benchmark(lengths=[8])
    assert "noisy machine: in 6 of 6 measurements" in caplog.text


def test_rejected_export_is_skipped_with_its_reason(run_benchmark: Callable[..., Any], chain: Chain) -> None:
    rejected = convert(chain.teacher.parent, "tiny", "fp32", tolerance=1e-12)
    candidates = run_benchmark([rejected, *chain.exports[1:]], lengths=[8])
    assert candidates[1]["skipped"].startswith("export rejected: logits differ from torch's by")
    assert candidates[1]["shapes"] == []
    assert [c["skipped"] for i, c in enumerate(candidates) if i != 1] == [None] * 5


def test_missing_export_is_skipped(run_benchmark: Callable[..., Any]) -> None:
    skipped = [candidate["skipped"] for candidate in run_benchmark([], lengths=[8])]
    assert skipped == [None, "not exported for this runtime", "not exported for this runtime"] * 2


def test_lengths_beyond_the_positions_are_skipped(run_benchmark: Callable[..., Any]) -> None:
    reason = "length 65 is more than the model's 64 positions"
    for candidate in run_benchmark(lengths=[64, 65]):
        assert candidate["skipped"] is None
        assert [shape["length"] for shape in candidate["shapes"]] == [64]
        assert candidate["skipped_shapes"] == [{"batch_size": 1, "length": 65, "reason": reason}]
    assert {candidate["skipped"] for candidate in run_benchmark(lengths=[65])} == {reason}


def test_export_of_a_model_that_is_not_measured_is_refused(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made from a model with key"):
        benchmark(
            settings=Benchmark(), models=[chain.teacher], exports=chain.exports, out=tmp_path / "out", labels=LABELS
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
        benchmark(settings=Benchmark(), models=[], exports=[], out=tmp_path / "out", labels=LABELS)


def test_inputs_are_random_ids_under_a_full_mask(chain: Chain) -> None:
    model = open_model(chain.teacher)
    inputs = model.inputs(3, 50)
    assert set(inputs) == {"input_ids", "attention_mask", "token_type_ids"}
    assert all(values.shape == (3, 50) and values.dtype == np.int64 for values in inputs.values())
    assert inputs["attention_mask"].all()
    assert inputs["input_ids"].min() > 0 == model.config["pad_token_id"]
    assert inputs["input_ids"].max() < model.config["vocab_size"]
    assert len(np.unique(inputs["input_ids"])) > 10
    np.testing.assert_array_equal(inputs["input_ids"], model.inputs(3, 50)["input_ids"])


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


def test_planned_paths_hold_the_recipes_of_the_stages(tiny_values: dict[str, Any]) -> None:
    params = parse_params(tiny_values, origin="test")
    plan = expand(params)
    made = next(a for a in plan.exports if a.labels["runtime"] == "onnxruntime-int8")
    keys = {name: artefact.key for name, artefact in made.inputs.items()}
    assert made.recipe == export_recipe(runtime="onnxruntime-int8", tolerance=params.export.tolerance, **keys)
    latency = plan.benchmarks[0]
    models, exports = ([a.key for a in latency.inputs[name]] for name in ("model", "export"))
    assert latency.recipe == benchmark_recipe(settings=params.benchmark, models=models, exports=exports)
