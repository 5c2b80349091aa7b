"""The cores that a benchmark runs on."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilgrid.benchmark.pinning import pinned
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.machine import usable_cores
from distilgrid.devices.settings import LocalDevice
from distilgrid.plan.params import parse_params
from distilgrid.search.conditions import measured
from distilgrid.search.space import Space
from distilgrid.stages.benchmark.declare import BenchmarkSettings
from distilgrid.stages.latency.declare import LatencySettings
from distilgrid.stages.table import STAGES


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


def test_cores_count_in_a_recipe() -> None:
    def recipes(cores: list[int] | None) -> list[dict[str, Any]]:
        protocol, space = Benchmark(cores=cores), Space(layers=[2], hidden=[8], heads=[2], feed_forward=[16])
        conditions = measured(protocol, "local-cpu", "onnxruntime-fp32", fused=True)
        return [
            STAGES["benchmark"].made_from(BenchmarkSettings(protocol, "local-cpu", LocalDevice()), {}),
            STAGES["latency"].made_from(LatencySettings(space, conditions, protocol, 1, 1), {}),
        ]

    for plain, named in zip(recipes(None), recipes([1]), strict=True):
        assert named["protocol"] == {**plain["protocol"], "cores": [1]}


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match="threads of the device: 100000, but this process may use"), pinned(100_000):
        pass
