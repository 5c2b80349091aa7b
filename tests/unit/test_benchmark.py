"""The latency protocol and the benchmark stage, on tiny models that the real stages made."""

import gc
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from distilgrid import progress as progress_module
from distilgrid.artefacts import read_json, verified
from distilgrid.benchmark import entries as entries_module
from distilgrid.benchmark import footprint as footprint_module
from distilgrid.benchmark import protocol as protocol_module
from distilgrid.benchmark.candidates import Model, open_model
from distilgrid.benchmark.gpu import gpu_peak
from distilgrid.benchmark.pinning import pinned
from distilgrid.benchmark.precision import steadiness
from distilgrid.benchmark.protocol import BURST, PRIMING, Run, Series, measure, repeated
from distilgrid.benchmark.settings import Benchmark, Export
from distilgrid.benchmark.texts import choose_texts, label_calls
from distilgrid.devices.files import device_recipe
from distilgrid.devices.labels import device_label
from distilgrid.devices.settings import LocalDevice
from distilgrid.errors import UserError
from distilgrid.grid import expand
from distilgrid.machine import usable_cores
from distilgrid.params import Data, parse_params
from distilgrid.recipes import benchmark_recipe, export_recipe, latency_recipe
from distilgrid.runtimes.base import Execution
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.text_reader import TextReader
from distilgrid.search.space import Space
from distilgrid.stages.benchmark import benchmark
from distilgrid.stages.export import export
from distilgrid.stages.finetune import finetune
from distilgrid.stages.prepare import prepare
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

LABELS = {"task": "reviews", "teacher": "tiny"}
QUICK = {"lengths": [8, 16], "warmup": 1, "repetitions": 10, "max_repetitions": 10, "retries": 0}


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
    export(
        data=root / "data",
        model=root / name,
        runtime=f"onnxruntime-{kind}",
        settings=Export(tolerance=tolerance),
        out=out,
    )
    return out


@pytest.fixture
def run_benchmark(chain: Chain, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs the stage and returns the candidates."""

    def run(
        exports: list[Path] | None = None, data: Path | None = None, device: str = "local-cpu", **options: Any
    ) -> list[dict[str, Any]]:
        settings = Benchmark(**{**QUICK, **options})
        models, given = [chain.teacher, chain.student], chain.exports if exports is None else exports
        result = benchmark(
            settings=settings,
            device=device,
            models=models,
            exports=given,
            out=tmp_path / "out",
            labels=LABELS,
            data=data,
        )
        candidates: list[dict[str, Any]] = result["candidates"]
        return candidates

    return run


def timed(runs: list[Run], **protocol: Any) -> list[Series]:
    """Measure calls, as often as asked and no more."""
    return measure([repeated(run) for run in runs], protocol=Benchmark(**{**QUICK, **protocol}), label="test")


def test_candidates_take_turns_in_shuffled_rounds() -> None:
    calls: list[str] = []
    series = timed([lambda n=n: calls.append(n) for n in "abc"], warmup=2, repetitions=BURST * 20)
    assert calls[:6] == list("aabbcc")
    turn = PRIMING + BURST
    turns = [calls[6:][i : i + turn] for i in range(0, len(calls) - 6, turn)]
    assert all(len(set(names)) == 1 for names in turns)
    rounds = ["".join(names[0] for names in turns[i : i + 3]) for i in range(0, len(turns), 3)]
    assert len(rounds) == 20
    assert all(sorted(order) == list("abc") for order in rounds)
    assert len(set(rounds)) > 1
    assert [len(found.samples) for found in series] == [BURST * 20] * 3


def test_order_of_rounds_is_seeded() -> None:
    def order() -> list[str]:
        calls: list[str] = []
        timed([lambda n=n: calls.append(n) for n in "abcd"], warmup=0, repetitions=30)
        return calls

    assert order() == order()


@pytest.mark.parametrize(("repetitions", "turns"), [(3, 1), (BURST, 1), (BURST + 1, 2)])
def test_every_sample_is_kept(repetitions: int, turns: int) -> None:
    found = timed([lambda: None, lambda: None], warmup=0, repetitions=repetitions, max_repetitions=repetitions)
    assert [len(series.samples) for series in found] == [turns * BURST] * 2
    assert all(time > 0 for series in found for time in series.samples)


def pretend_times(monkeypatch: pytest.MonkeyPatch, milliseconds: Callable[[int], float]) -> None:
    """Let the n-th timed call take so many milliseconds."""
    clock = {"now": 0.0, "reads": 0}

    def read() -> int:
        clock["reads"] += 1
        if clock["reads"] % 2 == 0:
            clock["now"] += 1e6 * milliseconds(clock["reads"] // 2 - 1)
        return int(clock["now"])

    monkeypatch.setattr(protocol_module.time, "perf_counter_ns", read)


def test_repetitions_go_on_until_the_median_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_times(monkeypatch, lambda call: 10 + call // BURST % 2)  # turns of 10 ms and of 11 ms
    unknown = timed([lambda: None], repetitions=50, max_repetitions=200, precision=0.05)[0]
    assert unknown.steadiness.turns == 40 and unknown.steadiness.width == pytest.approx(1 / 10.5)
    pretend_times(monkeypatch, lambda _: 10)
    known = timed([lambda: None], repetitions=50, max_repetitions=200, precision=0.05)[0]
    assert known.steadiness.turns == 10 and known.steadiness.width == 0


def test_a_candidate_that_drifts_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"repetitions": 50, "max_repetitions": 50}
    pretend_times(monkeypatch, lambda call: 10 if call < 25 else 12)  # the machine slows down once
    again = timed([lambda: None], retries=2, **quick)[0]
    assert again.attempts == 2 and again.summary(max_drift=0.05)["noisy"] is False
    assert again.samples == [12] * 50
    assert again.summary(max_drift=0.05)["given_up_ms"] == [[10.0] * 25 + [12.0] * 25]
    pretend_times(monkeypatch, lambda call: 10 if call < 25 else 12)
    once = timed([lambda: None], retries=0, **quick)[0].summary(max_drift=0.05)
    assert once["attempts"] == 1 and once["noisy"] is True and once["drift"] == pytest.approx(2 / 11)


def test_a_median_that_is_never_known_is_marked_without_a_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_times(monkeypatch, lambda call: 10 + call // BURST % 2)  # turns of 10 ms and of 11 ms, all along
    found = timed([lambda: None], repetitions=200, max_repetitions=200)[0].summary(max_drift=0.05)
    assert found["attempts"] == 1 and found["drift"] == 0
    assert found["width"] == pytest.approx(1 / 10.5, abs=1e-3) and found["noisy"] is True


def test_too_few_turns_to_know_a_median_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_times(monkeypatch, lambda call: 9 if call // BURST % 2 else 1)
    found = timed([lambda: None], repetitions=25, max_repetitions=25)[0].summary(max_drift=0.05)
    assert found["width"] is None and found["drift"] == 0 and found["noisy"] is True


def test_going_on_is_announced_with_a_limit(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    pretend_times(monkeypatch, lambda call: 10 + call // BURST % 2)
    monkeypatch.setattr(progress_module, "LOG_SECONDS", 0.0)
    with caplog.at_level("INFO", logger="distilgrid"):
        timed([lambda: None], repetitions=50, max_repetitions=200, precision=0.05)
    assert "test, until medians are known (at most): 29 of 30, about " in caplog.text


def test_turns_of_texts_time_each_call_once() -> None:
    calls: list[str] = []
    work = [lambda n=n: calls.append(n) for n in "abc"]
    (series,) = measure([work], protocol=Benchmark(**{**QUICK, "warmup": 0}), label="test")
    assert calls == list("aaaabc" * 2)
    assert [len(turn) for turn in series.turns] == [3, 3]


def test_energy_is_counted_per_run() -> None:
    used = iter(range(100))
    (series,) = measure([repeated(lambda: None)], protocol=Benchmark(**QUICK), label="t", energy=lambda: next(used))
    assert series.summary(max_drift=1)["energy_mj"] == pytest.approx(1e3 * 2 / (2 * (PRIMING + BURST)))
    assert timed([lambda: None])[0].summary(max_drift=1)["energy_mj"] is None


def test_medians_interval_is_that_of_order_statistics() -> None:
    values = [float(n) for n in range(1, 21)]
    assert steadiness(values[:5]).width is None
    # Binomial(20, 1/2): the 6th and the 15th of 20 values enclose the median with 95.9 %
    assert steadiness(values).width == pytest.approx((15 - 6) / 10.5)


def test_garbage_collector_rests_while_timing() -> None:
    states: list[bool] = []
    timed([lambda: states.append(gc.isenabled())], warmup=0)
    assert not any(states)
    assert gc.isenabled()


def test_garbage_collector_comes_back_after_a_failure() -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timed([fail], warmup=0)
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_cores_are_pinned_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1) as cores:
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(usable_cores() < 2, reason="one core only")
def test_cores_are_those_that_are_named() -> None:
    first, *others = sorted(os.sched_getaffinity(0))
    with pinned(1, [first, *others]) as cores:
        assert cores == [first] and os.sched_getaffinity(0) == {first}
    with pinned(1) as cores:
        assert cores == [others[-1]]


@pytest.mark.parametrize(
    ("threads", "cores", "message"),
    [
        (1, [100_000, 100_001], "benchmark.cores: cores 100000, 100001, but this process may use core"),
        (2, [0], "benchmark.cores: core 0, but the device has 2 threads; name as many cores"),
    ],
)
def test_cores_that_cannot_be_are_refused(
    threads: int, cores: list[int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(UserError) as caught, pinned(threads, cores):
        pass
    assert str(caught.value).startswith(message)


@pytest.mark.skipif(usable_cores() < 2, reason="one core only")
def test_a_benchmark_runs_on_the_cores_of_its_protocol(run_benchmark: Callable[..., Any], tmp_path: Path) -> None:
    first = min(os.sched_getaffinity(0))
    run_benchmark(lengths=[8], cores=[first], runtimes=["onnxruntime-fp32"])
    assert read_json(tmp_path / "out/benchmark.json")["cores"] == [{"threads": 1, "cores": [first]}]


@pytest.mark.parametrize(
    ("cores", "message"),
    [("[-1]", "cores.0: Input should be greater"), ("[0, 0]", "cores: must list each"), ("[]", "cores: List should")],
)
def test_bad_numbers_of_cores_end_in_one_line(cores: str, message: str, tiny_values: dict[str, Any]) -> None:
    values = {**tiny_values, "benchmark": {**tiny_values["benchmark"], "cores": json.loads(cores)}}
    with pytest.raises(UserError, match=rf"test: benchmark\.{message}"):
        parse_params(values, origin="test")


def test_cores_count_in_a_recipe_where_they_are_named() -> None:
    def recipes(cores: list[int] | None) -> Iterator[dict[str, Any]]:
        settings = Benchmark(cores=cores)
        space = Space(layers=[2], hidden=[8], heads=[2], feed_forward=[16])
        yield benchmark_recipe(settings=settings, device={}, models=[], exports=[], data=None)
        yield latency_recipe(space=space, conditions={}, settings=settings, counts=(1, 1), seed=0)

    for plain, named in zip(recipes(None), recipes([1]), strict=True):
        assert "cores" not in plain["protocol"]
        assert named["protocol"] == {**plain["protocol"], "cores": [1]}


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match="threads of the device: 100000, but this process may use"), pinned(100_000):
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
            assert shape["throughput"] == pytest.approx(1e3 / shape["p50_ms"], rel=1e-3)
    sizes = [c["size_bytes"] for c in candidates[:3]]
    assert sizes[0] == (chain.teacher / "model.safetensors").stat().st_size
    assert sizes[1:] == [(folder / "model.onnx").stat().st_size for folder in chain.exports[:2]]
    assert {c["parameters"] for c in candidates} == {read_json(chain.teacher / "metrics.json")["parameters"]}
    stored = read_json(tmp_path / "out/benchmark.json")
    assert stored["candidates"] == candidates
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

    monkeypatch.setattr(entries_module, "measure", drifting)
    candidates = run_benchmark(lengths=[8])
    assert "noisy machine: 6 of 6 measurements drift or are not well known to the last, by up to 67 %" in caplog.text
    assert all(shape["noisy"] for candidate in candidates for shape in candidate["shapes"])


def test_threads_are_measured_one_after_the_other(run_benchmark: Callable[..., Any]) -> None:
    if usable_cores() < 2:
        pytest.skip("one core only")
    for candidate in run_benchmark(lengths=[8], device="local-cpu-2"):
        assert [shape["threads"] for shape in candidate["shapes"]] == [2, 1]


def test_texts_are_measured_at_their_own_lengths_and_to_the_label(
    run_benchmark: Callable[..., Any], chain: Chain
) -> None:
    for candidate in run_benchmark(lengths=[8], texts=6, data=chain.data):
        kinds = {shape["kind"]: shape for shape in candidate["shapes"]}
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
    session = open_runtime("torch-eager-fp32").load(chain.teacher, Execution())
    found = {call.row[0]: call() for call in label_calls(texts, reader, session)}
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


def test_footprint_is_measured_in_a_process_of_its_own(run_benchmark: Callable[..., Any]) -> None:
    for candidate in run_benchmark(lengths=[8], runtimes=["onnxruntime-int8"], footprint=True):
        found = candidate["footprint"]
        assert set(found) == {"import_seconds", "load_seconds", "first_run_seconds", "loaded_mib", "peak_mib"}
        assert 0 < found["loaded_mib"] < found["peak_mib"] < 400


def test_a_footprint_that_does_not_end_is_a_reason(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint_module, "SECONDS", 0.01)
    for candidate in run_benchmark(lengths=[8], runtimes=["onnxruntime-fp32"], footprint=True):
        assert candidate["footprint"] == {"reason": "loading and 4 runs took more than 0.01 s"}
        assert len(candidate["shapes"]) == 1


class Odd:
    """ONNX Runtime, but for what it does when a model is loaded or a call is made."""

    def __init__(self, *, load: Callable[[], object] = int, call: Callable[[int], object] = int) -> None:
        self.at_load, self.at_call = load, call

    def load(self, folder: Path, how: Execution) -> "Odd":
        self.at_load()
        self.session = open_runtime("onnxruntime-fp32").load(folder, how)
        return self

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        whole = self.session.bind(inputs)

        def run() -> np.ndarray:
            self.at_call(len(inputs["input_ids"]))
            return whole()

        return run


def behave_oddly(monkeypatch: pytest.MonkeyPatch, **how: Callable[..., object]) -> None:
    """Let `onnxruntime-int8` do something else."""
    monkeypatch.setattr(
        entries_module,
        "open_runtime",
        lambda name: Odd(**how) if name == "onnxruntime-int8" else open_runtime(name),
    )


BOTH = {"lengths": [8], "runtimes": ["onnxruntime-fp32", "onnxruntime-int8"]}


def test_a_model_that_does_not_load_costs_no_other_its_measurement(
    run_benchmark: Callable[..., Any], chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("Unsupported opset\nat node 3")

    behave_oddly(monkeypatch, load=fail)
    skipped = [candidate["skipped"] for candidate in run_benchmark(chain.exports, **BOTH)]
    assert skipped == [None, "does not run: Unsupported opset"] * 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory: CUDA out of mem"),
        (RuntimeError("[ONNXRuntimeError] : 6 : Out of memory: BFCArena"), "out of memory: [ONNXRuntimeError]"),
        (ValueError("Gather: indices element out of bounds"), "does not run: Gather: indices element out of bounds"),
    ],
)
def test_a_batch_that_does_not_run_skips_this_shape_alone(
    error: Exception, reason: str, run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: int) -> None:
        if rows == 64:
            raise error

    behave_oddly(monkeypatch, call=fail)
    for candidate in run_benchmark(**BOTH, batch_sizes=[1, 64]):
        odd = candidate["runtime"] == "onnxruntime-int8"
        assert candidate["skipped"] is None
        assert [shape["batch_size"] for shape in candidate["shapes"]] == ([1] if odd else [1, 64])
        assert [shape["batch_size"] for shape in candidate["skipped_shapes"]] == ([64] if odd else [])
        assert all(shape["reason"].startswith(reason) for shape in candidate["skipped_shapes"])


def test_a_text_that_does_not_run_skips_the_texts_alone(
    run_benchmark: Callable[..., Any], chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fail(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 40:  # one of the texts, not the first
            raise RuntimeError("once")

    behave_oddly(monkeypatch, call=fail)
    kinds = [[s["kind"] for s in c["shapes"]] for c in run_benchmark(**BOTH, texts=30, data=chain.data)]
    assert kinds.count(["shape", "texts", "text-to-label"]) == 3
    assert min(kinds, key=len) in (["shape"], ["shape", "text-to-label"], ["shape", "texts"])


def test_a_failure_while_timing_skips_the_shape(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(works: list[Any], *, label: str, **options: Any) -> list[Series]:
        if "length 8" in label:
            raise RuntimeError("device lost")
        return measure(works, label=label, **options)

    monkeypatch.setattr(entries_module, "measure", fail)
    for candidate in run_benchmark():
        assert [shape["length"] for shape in candidate["shapes"]] == [16]
        [skipped] = candidate["skipped_shapes"]
        assert (skipped["length"], skipped["reason"]) == (
            8,
            "one of the models that took turns does not run: device lost",
        )


def test_a_full_disk_is_no_property_of_a_model(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    behave_oddly(monkeypatch, load=fail)
    with pytest.raises(UserError, match="no space left"):
        run_benchmark(**BOTH)


def test_a_gpu_is_named(run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    run_benchmark(lengths=[8], device="local-cuda", runtimes=["openvino-fp32"])
    machine = read_json(tmp_path / "out/benchmark.json")["machine"]
    assert machine["gpu"] == "NVIDIA H200"
    assert device_label(machine, threads=1, processor="cuda") == "NVIDIA H200"
    run_benchmark(lengths=[8], runtimes=["openvino-fp32"])
    assert "gpu" not in read_json(tmp_path / "out/benchmark.json")["machine"]


def test_memory_of_a_gpu_is_torchs_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**19)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert gpu_peak("cuda") == {"gpu_peak_mib": 1.5}
    assert gpu_peak("cpu") == {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)  # another runtime computes there
    assert gpu_peak("cuda") == {}


def test_a_processor_that_a_runtime_has_not_is_skipped(run_benchmark: Callable[..., Any]) -> None:
    skipped = [candidate["skipped"] for candidate in run_benchmark(lengths=[8], device="local-cuda")]
    assert skipped[2] == "does not run on cuda"
    if not torch.cuda.is_available():
        assert skipped[0] == "no CUDA GPU here" and "has no CUDAExecutionProvider" in skipped[1]


def test_rejected_export_is_skipped_with_its_reason(run_benchmark: Callable[..., Any], chain: Chain) -> None:
    rejected = convert(chain.teacher.parent, "tiny", "fp32", tolerance=1e-12)
    candidates = run_benchmark([rejected, *chain.exports[1:]], lengths=[8])
    assert candidates[1]["skipped"].startswith("export rejected: logits differ from torch's by")
    assert candidates[1]["shapes"] == []
    assert [c["skipped"] for i, c in enumerate(candidates) if i != 1] == [None] * 5


def test_missing_export_is_skipped(run_benchmark: Callable[..., Any]) -> None:
    skipped = [candidate["skipped"] for candidate in run_benchmark([], lengths=[8])]
    assert skipped == [None, "not exported for this runtime", "not exported for this runtime"] * 2


def test_lengths_beyond_the_positions_are_skipped_and_announced(
    run_benchmark: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    reason = "length 65 is more than the model's 64 positions"
    for candidate in run_benchmark(lengths=[64, 65]):
        assert candidate["skipped"] is None
        assert [shape["length"] for shape in candidate["shapes"]] == [64]
        assert candidate["skipped_shapes"] == [
            {"kind": "shape", "threads": 1, "batch_size": 1, "length": 65, "reason": reason}
        ]
    assert f"tiny, torch-eager-fp32: not measured at 1 thread, batch 1, length 65: {reason}" in caplog.text
    assert {candidate["skipped"] for candidate in run_benchmark(lengths=[65])} == {reason}


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
    assert made.recipe == export_recipe(runtime="onnxruntime-int8", settings=params.export, **keys)
    latency = plan.benchmarks[0]
    models, exports = ([a.key for a in latency.inputs[name]] for name in ("model", "export"))
    assert latency.recipe == benchmark_recipe(
        settings=params.benchmark, device=device_recipe(LocalDevice()), models=models, exports=exports, data=None
    )
