"""The latency predictor on a made-up machine, and the stage that measures for it on tiny shapes."""

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.unit.made import latency

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import read_json, verified, writing
from distilgrid.core.errors import UserError
from distilgrid.search import latency_bench
from distilgrid.search.architecture import Architecture, LayeredShape, Shape
from distilgrid.search.conditions import Conditions
from distilgrid.search.latency_predictor import LatencyPredictor, features, multiply_adds
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.search.space import Space, load_space
from distilgrid.stages.latency import run as stage_module
from distilgrid.stages.table import STAGES

pytestmark = pytest.mark.chain

CONDITIONS = Conditions("test", "onnxruntime-fp32", 1, 1, 128)
TINY = Space(layers=[1, 2], hidden=[8, 16], heads=[2], feed_forward=[16, 32])
QUICK = Benchmark(lengths=[8], warmup=0, repetitions=5, max_repetitions=5, retries=0)


def made_up(shape: Architecture) -> float:
    """Milliseconds on a machine with a rate that falls for narrow heads and small matrices, and a cost per layer."""
    hidden, feed_forward, heads, activation = astuple(shape.encoder)
    slow, total = 2.5 if activation == "gelu" else 1.0, 0.05
    for before, width, inner in zip((hidden[0], *hidden), hidden, feed_forward, strict=False):
        work = 128 * (4 * width**2 + 256 * width + 2 * width * inner + before * width * (before != width))
        touched = 128 * (inner * slow + 128 * heads)
        total += 0.06 + work / (6e7 * (1 - np.exp(-width / 150))) + touched / 4e6
    return total


@pytest.fixture(scope="module")
def shapes() -> list[Shape]:
    return load_space(Path(__file__).parents[2] / "grids/spaces/minilm.yaml").sample(140, seed=3)


@pytest.fixture(scope="module")
def latencies(shapes: list[Shape]) -> list[float]:
    noise = np.random.default_rng(0).normal(1, 0.02, size=len(shapes))
    return [made_up(shape) * factor for shape, factor in zip(shapes, noise, strict=True)]


@pytest.fixture(scope="module")
def predictor(shapes: list[Shape], latencies: list[float]) -> LatencyPredictor:
    return LatencyPredictor(CONDITIONS, shapes[:90], latencies[:90])


def test_held_out_shapes_are_predicted(
    predictor: LatencyPredictor, shapes: list[Shape], latencies: list[float]
) -> None:
    quality = predictor.quality(shapes[90:], latencies[90:])
    assert quality["rows"] == 50
    assert quality["median_error"] <= 0.07 and quality["kendall_tau"] >= 0.85


def test_the_rank_correlation_has_an_interval_in_the_file_and_in_the_line(
    predictor: LatencyPredictor, shapes: list[Shape], latencies: list[float]
) -> None:
    """Fieller's, from a reference that shares no code: z = atanh(tau), with the variance 0.437 / (n - 4)."""
    quality = predictor.quality(shapes[90:], latencies[90:])
    tau, low, high = (quality[name] for name in ("kendall_tau", "kendall_low", "kendall_high"))
    assert tau == pytest.approx(stats.kendalltau(predictor.predict(shapes[90:]), latencies[90:]).statistic)
    expected = np.tanh(stats.norm(np.arctanh(tau), np.sqrt(0.437 / 46)).interval(0.95))
    assert (low, high) == pytest.approx(tuple(expected))
    (said,) = STAGES["latency"].said(quality)
    assert said.endswith(f"Kendall's tau {tau:.3f} [{low:.3f}, {high:.3f}] (95 % CI over the choice of shapes)")


def test_a_rank_correlation_of_a_few_or_of_equals_has_none(
    predictor: LatencyPredictor, shapes: list[Shape], latencies: list[float]
) -> None:
    few = predictor.quality(shapes[90:94], latencies[90:94])
    assert few["kendall_tau"] is not None and few["kendall_low"] is few["kendall_high"] is None
    assert STAGES["latency"].said(few)[0].endswith("(an interval takes 5 shapes)")
    equal = predictor.quality(shapes[90:100], [1.0] * 10)
    assert equal["kendall_tau"] is equal["kendall_low"] is None
    assert STAGES["latency"].said(equal)[0].endswith("Kendall's tau unknown, as all latencies are equal")


def test_latencies_of_other_shapes_teach_nothing(shapes: list[Shape], latencies: list[float]) -> None:
    mixed = np.random.default_rng(1).permutation(latencies[:90])
    quality = LatencyPredictor(CONDITIONS, shapes[:90], mixed.tolist()).quality(shapes[90:], latencies[90:])
    assert quality["median_error"] > 0.2  # ranks may be right by chance: everything grows with everything


def stored(predictor: LatencyPredictor, folder: Path) -> Path:
    with writing(folder, recipe={"stage": "latency"}, labels={}) as scratch:
        predictor.save(scratch)
    return folder


def test_a_stored_predictor_predicts_the_same(predictor: LatencyPredictor, shapes: list[Shape], tmp_path: Path) -> None:
    loaded = LatencyPredictor.load(stored(predictor, tmp_path / "latency"))
    assert loaded.conditions == CONDITIONS
    np.testing.assert_array_equal(loaded.predict(shapes), predictor.predict(shapes))


def test_work_adds_up_over_layers_and_the_projections_between_them() -> None:
    plain, layered = Shape(2, 96, 4, 192), LayeredShape((96, 96), (192, 192), 4)
    assert multiply_adds(layered, length=16) == multiply_adds(plain, length=16)
    assert features([layered], length=16).equals(features([plain], length=16))
    parts = [Shape(1, 96, 4, 192), Shape(1, 48, 4, 64)]
    both = multiply_adds(LayeredShape((96, 48), (192, 64), 4), length=16, batch=3)
    for name, value in both.items():
        alone = sum(multiply_adds(part, length=16, batch=3)[name] for part in parts)
        assert value == alone + (3 * 16 * 96 * 48 if name == "projections" else 0)


def test_layers_of_different_widths_are_predicted(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"hidden": [96, 144, 192, 288, 384], "feed_forward": [192, 384, 768, 1536]}
    space = LayeredSpace(blocks=[2, 3, 4, 5, 6], heads=[4, 6, 12], **sizes)
    drawn = space.sample(110, seed=1)
    noise = np.random.default_rng(0).normal(1, 0.02, size=len(drawn))
    measured = [made_up(shape) * factor for shape, factor in zip(drawn, noise, strict=True)]
    predictor = LatencyPredictor(CONDITIONS, drawn[:70], measured[:70])
    quality = predictor.quality(drawn[70:], measured[70:])
    assert quality["median_error"] <= 0.07 and quality["kendall_tau"] >= 0.85
    loaded = LatencyPredictor.load(stored(predictor, tmp_path / "latency"))
    assert loaded.shapes == tuple(drawn[:70])
    np.testing.assert_array_equal(loaded.predict(drawn), predictor.predict(drawn))


def test_predictors_that_say_nothing_of_the_graph_are_fused_ones(predictor: LatencyPredictor, tmp_path: Path) -> None:
    folder = stored(predictor, tmp_path / "latency")
    assert "fused" not in read_json(folder / "predictor.json")["conditions"]
    assert LatencyPredictor.load(folder).conditions.fused
    assert replace(CONDITIONS, fused=False).as_dict()["fused"] is False


def run(out: Path, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "space": TINY,
        "runtime": "onnxruntime-fp32",
        "settings": QUICK,
        "device": "local-cpu",
        "fitted": 6,
    }
    return latency(**{**options, "held_out": 2, "out": out, "vocabulary": 60, **changes})


def test_the_stage_measures_fits_and_judges(tmp_path: Path) -> None:
    quality = run(tmp_path / "out")
    assert quality["rows"] == 2
    stored = read_json(tmp_path / "out/predictor.json")
    assert stored["quality"] == quality and len(stored["held_out"]) == 2
    assert stored["yardstick"]["lowest"] <= 1 <= stored["yardstick"]["highest"]
    assert len(LatencyPredictor.load(tmp_path / "out").shapes) == 6
    assert set(verified(tmp_path / "out", stage="latency")["files"]) == {"measurements.parquet", "predictor.json"}


def test_layers_of_different_widths_can_be_measured_as_exported(tmp_path: Path) -> None:
    space = LayeredSpace(blocks=[1, 2], hidden=[8, 16], feed_forward=[8, 16], heads=[2])
    assert run(tmp_path / "out", space=space, fused=False)["rows"] == 2
    loaded = LatencyPredictor.load(tmp_path / "out")
    assert not loaded.conditions.fused and all(isinstance(shape, LayeredShape) for shape in loaded.shapes)


def test_torch_itself_can_be_measured(tmp_path: Path) -> None:
    assert run(tmp_path / "out", runtime="torch-eager-fp32")["rows"] == 2


def test_a_killed_run_goes_on_after_its_last_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "AT_ONCE", 3)
    whole, measured = latency_bench.measure, []

    def killed(works: Any, **options: Any) -> Any:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(len(works))
        return whole(works, **options)

    monkeypatch.setattr(latency_bench, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out")
    again: list[int] = []
    monkeypatch.setattr(latency_bench, "measure", lambda works, **o: again.append(len(works)) or whole(works, **o))
    run(tmp_path / "out")
    assert measured == [4, 4] and again == [3]  # the last group of 8 shapes, with the yardstick


def test_more_shapes_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--architectures: the space holds 8 shapes, 12 are wanted"):
        run(tmp_path / "out", fitted=10)


def test_an_unknown_runtime_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'onnxruntime-fp32'"):
        run(tmp_path / "out", runtime="onnxruntime-f32")
