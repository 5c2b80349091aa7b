"""Latencies that a search is told: measured beside a yardstick and kept, or predicted; limits that nothing keeps to."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.unit.test_latency_predictor import stored

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.errors import UserError
from distilgrid.core.journal import NAME
from distilgrid.runtimes.base import RunOptions, UnsupportedError
from distilgrid.search import latency_bench
from distilgrid.search.architecture import Architecture, LayeredShape, Shape
from distilgrid.search.conditions import Conditions
from distilgrid.search.latencies import (
    LatencySource,
    MeasuredLatency,
    open_source,
    refuse_impossible_limit,
)
from distilgrid.search.latency_bench import LatencyBench
from distilgrid.search.latency_predictor import LatencyPredictor
from distilgrid.search.settings import CandidateLatency

pytestmark = pytest.mark.chain

CONDITIONS = Conditions("local-cpu", "onnxruntime-fp32", 1, 1, 8)
QUICK = Benchmark(warmup=0, repetitions=5, max_repetitions=5, retries=0)
YARDSTICK = Shape(2, 8, 2, 16)


def opened(conditions: Conditions, **options: Any) -> LatencySource:
    given: dict[str, Any] = {"protocol": QUICK, "predictor": None, "yardstick": YARDSTICK, "folder": None}
    return open_source(conditions, **{**given, **options})


SHAPES: list[Architecture] = [Shape(layers, 8, 2, 16) for layers in range(3, 15)]


class Clock(LatencyBench):
    """A machine on which a layer takes a millisecond, times how fast the machine is just then."""

    pace: ClassVar[list[float]] = [1.0]

    def __init__(self) -> None:
        super().__init__(CONDITIONS, QUICK, vocabulary=60)
        self.groups: list[list[str]] = []

    def medians(self, architectures: Sequence[Architecture]) -> list[float]:
        pace = self.pace[min(len(self.groups), len(self.pace) - 1)]
        self.groups.append([each.name for each in architectures])
        return [pace * each.as_dict()["layers"] for each in architectures]


def test_what_the_machine_does_to_the_yardstick_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "pace", [1.0, 3.0, 0.5])
    bench = Clock()
    source = MeasuredLatency(bench, yardstick=YARDSTICK, folder=None)
    assert source.latencies([*SHAPES, SHAPES[0]]) == pytest.approx([*range(3, 15), 3])
    assert [len(group) for group in bench.groups] == [3, 9, 5]  # the reference; 8 and the yardstick; the other 4
    assert bench.groups[0] == [YARDSTICK.name] * 3 and {group[0] for group in bench.groups} == {YARDSTICK.name}
    assert source.latencies(SHAPES[:2]) == pytest.approx([3, 4]) and len(bench.groups) == 3


def test_a_search_that_was_killed_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = MeasuredLatency(Clock(), yardstick=YARDSTICK, folder=tmp_path).latencies(SHAPES[:3])
    monkeypatch.setattr(Clock, "pace", [1.7])
    bench = Clock()
    again = MeasuredLatency(bench, yardstick=YARDSTICK, folder=tmp_path)
    assert again.latencies(SHAPES[:3]) == first and bench.groups == []
    assert again.latencies(SHAPES[2:4]) == pytest.approx([5, 6])
    assert bench.groups == [[YARDSTICK.name, SHAPES[3].name]]
    with closing(sqlite3.connect(tmp_path / NAME)) as journal:
        assert journal.execute("SELECT count(*) FROM findings").fetchone() == (1 + 4,)
    other = MeasuredLatency(Clock(), yardstick=SHAPES[0], folder=tmp_path)
    assert other.latencies(SHAPES[:1]) != first[:1], "latencies beside another yardstick are others"


def test_jobs_side_by_side_agree_on_what_was_kept_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (MeasuredLatency(Clock(), yardstick=YARDSTICK, folder=tmp_path) for _ in range(2))
    first = one.latencies(SHAPES[:2])
    monkeypatch.setattr(Clock, "pace", [1.0, 1.3])  # noise that the yardstick does not see
    monkeypatch.setattr(MeasuredLatency, "_known", lambda self, architecture: architecture in self._found)
    assert other.latencies(SHAPES[:2]) == first, "measured again at the same time, and given up"
    assert one.latencies(SHAPES[:2]) == first


def test_what_is_kept_differs_by_conditions() -> None:
    fused, unfused = (
        LatencyBench(Conditions("local-cpu", "onnxruntime-fp32", 1, 1, 8, fused=on), QUICK) for on in (True, False)
    )
    assert fused.key(architecture="a") != unfused.key(architecture="a")


def test_what_is_kept_differs_by_processor_version_and_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = LatencyBench(CONDITIONS, QUICK)
    keys = [bench.key(architecture="a"), bench.key(architecture="a")]
    assert len(set(keys)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(latency_bench, "cpu_name", lambda: "Another CPU")
        keys.append(bench.key(architecture="a"))
    with monkeypatch.context() as patch:
        patch.setattr(latency_bench, "VERSION", latency_bench.VERSION + 1)
        keys.append(bench.key(architecture="a"))
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda name: "99.0")
        keys.append(bench.key(architecture="a"))
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnsupportedError("not this shape"), "not this shape"),
        (RuntimeError("no kernel\nfor it"), "does not run: no kernel"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_an_architecture_that_does_not_run_is_named(
    error: Exception, reason: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise error

    class Failing:
        def __call__(self, folder: Path, how: RunOptions) -> Any:
            return self

        def bind(self, inputs: Any) -> Any:
            return fail if late else fail()

    monkeypatch.setattr(latency_bench, "open_runtime", lambda name: Failing())
    with pytest.raises(UserError) as caught:
        opened(CONDITIONS).latencies([Shape(1, 8, 2, 8)])
    assert str(caught.value) == f"runtime 'onnxruntime-fp32' cannot run {YARDSTICK.name}: {reason}"


@pytest.mark.parametrize("fused", [True, False])
def test_architectures_are_built_exported_and_timed(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[RunOptions] = []
    whole = latency_bench.open_runtime

    class Watched:
        def __call__(self, folder: Path, how: RunOptions) -> Any:
            loaded.append(how)
            return whole("onnxruntime-fp32")(folder, how)

    monkeypatch.setattr(latency_bench, "open_runtime", lambda name: Watched())
    source = opened(replace(CONDITIONS, fused=fused))
    shapes: list[Architecture] = [Shape(1, 8, 2, 8), LayeredShape((8, 16), (8, 16), 2)]
    latencies = source.latencies(shapes)
    assert all(0 < latency < 100 for latency in latencies)
    assert {how.optimised for how in loaded} == {fused} and {how.threads for how in loaded} == {1}
    assert source.conditions.fused == fused


GPU = "kind: local\nprocessor: cuda\nthreads: [1]\n"


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Name of a device whose file says `cuda`."""
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/fake-gpu.yaml").write_text(GPU, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "fake-gpu"


@pytest.mark.parametrize("device", ["fake-gpu", "local-cpu"])
def test_the_processor_that_was_asked_for_is_the_one_that_measures(
    device: str, fake_gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    class Faked:
        """A machine whose processors only say that they were called."""

        def __call__(self, folder: Path, how: RunOptions) -> Any:
            self.processor = how.processor
            return self

        def bind(self, inputs: Any) -> Any:
            return lambda: used.append(self.processor)

    monkeypatch.setattr(latency_bench, "open_runtime", lambda name: Faked())
    asked = CandidateLatency(runtime="torch-eager-fp32", device=device)
    source = opened(asked.conditions(QUICK.model_copy(update={"lengths": [8]})))
    source.latencies(SHAPES[:1])
    assert set(used) == {"cuda" if device == fake_gpu else "cpu"}
    assert source.conditions.device == device


def test_what_a_gpu_measured_is_kept_by_its_name(fake_gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for processor, name in (("cpu", "none"), ("cuda", "GPU A"), ("cuda", "GPU B")):
        found = {"gpu": name} if processor == "cuda" else {}
        monkeypatch.setattr(latency_bench, "gpu_name", lambda asked, found=found: found)
        keys.append(LatencyBench(replace(CONDITIONS, processor=processor), QUICK).key(architecture="a"))
    assert len(set(keys)) == 3
    assert "processor" not in CONDITIONS.as_dict()


def test_a_device_on_which_the_runtime_cannot_be_measured_is_refused(fake_gpu: str) -> None:
    with pytest.raises(UserError, match=r"latency\.device: runtime 'openvino-fp32' does not run on the cuda"):
        CandidateLatency(runtime="openvino-fp32", device=fake_gpu).conditions(QUICK)
    with pytest.raises(UserError, match=r"measured on this machine, and 'android' names another one"):
        CandidateLatency(device="android").conditions(QUICK)


def test_a_gpu_that_is_not_there_is_said(fake_gpu: str) -> None:
    conditions = CandidateLatency(runtime="torch-eager-fp32", device=fake_gpu).conditions(QUICK)
    with pytest.raises(UserError, match=r"cannot run 2L-8H-2A-16F-gelu: .*GPU"):
        opened(conditions).latencies(SHAPES[:1])


def test_a_runtime_without_a_graph_is_not_measured_unfused() -> None:
    for runtime in ("torch-eager-fp32", "openvino-fp32"):
        with pytest.raises(UserError, match=f"runtime '{runtime}' rewrites no graph .*; set fused: true"):
            opened(replace(CONDITIONS, runtime=runtime, fused=False))


def test_a_stored_predictor_is_a_source(tmp_path: Path) -> None:
    shapes = [LayeredShape((8 * n, 16), (16, 8 * n), 2) for n in range(1, 9)]
    latencies = [1.0 * shape.parameters for shape in shapes]
    conditions = Conditions("test", "onnxruntime-fp32", 1, 1, 32, fused=False)
    predictor = LatencyPredictor(conditions, shapes, latencies)
    source = opened(conditions, predictor=stored(predictor, tmp_path / "latency"))
    assert isinstance(source, LatencyPredictor) and source.conditions == conditions
    assert source.latencies(shapes[:3]) == predictor.predict(shapes[:3]).tolist()
    assert source.latencies([]) == []
    np.testing.assert_allclose(source.latencies(shapes), latencies, rtol=0.2)


def test_an_impossible_limit_names_the_fastest_architecture() -> None:
    source = MeasuredLatency(Clock(), yardstick=YARDSTICK, folder=None)
    refuse_impossible_limit(3.01, SHAPES[::-1], source)
    with pytest.raises(UserError) as caught:
        refuse_impossible_limit(2.5, SHAPES, source)
    assert str(caught.value) == (
        "latency limit 2.5 ms: no architecture is that fast; the fastest of 12, 3L-8H-2A-16F-gelu, takes 3 ms on "
        "onnxruntime-fp32; raise the limit or widen the space"
    )


def test_a_predictor_of_other_conditions_is_refused(tmp_path: Path) -> None:
    shapes = [Shape(layers, 8, 2, 16) for layers in range(1, 9)]
    predictor = LatencyPredictor(CONDITIONS, shapes, [float(shape.layers) for shape in shapes])
    folder = stored(predictor, tmp_path / "latency")
    with pytest.raises(UserError, match=r"length=8.* but .*length=16.* is wanted"):
        opened(replace(CONDITIONS, length=16), predictor=folder)
