"""The latency predictor on a made-up machine, and the stage that measures for it on tiny shapes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilgrid.artefacts import read_json, verified
from distilgrid.benchmark.settings import Benchmark
from distilgrid.errors import UserError
from distilgrid.search.latency_features import multiply_adds
from distilgrid.search.latency_predictor import Conditions, LatencyPredictor
from distilgrid.search.space import Shape, Space, load_space
from distilgrid.stages import latency as stage_module
from distilgrid.stages.latency import latency

CONDITIONS = Conditions("test", "onnxruntime-fp32", 1, 1, 128)
TINY = Space(layers=[1, 2], hidden=[8, 16], heads=[2], feed_forward=[16, 32])
QUICK = Benchmark(lengths=[8], warmup=0, repetitions=5, max_repetitions=5, retries=0)


def made_up(shape: Shape) -> float:
    """Milliseconds on a machine with a rate that falls for narrow heads and small matrices, and a cost per layer."""
    work = multiply_adds(shape, length=128)
    rate = 6e7 * (1 - np.exp(-shape.hidden / 150))
    slow = 2.5 if shape.activation == "gelu" else 1.0
    touched = shape.layers * 128 * (shape.feed_forward * slow + 128 * shape.heads)
    return 0.05 + 0.06 * shape.layers + sum(work.values()) / rate + touched / 4e6


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
    assert quality.rows == 50
    assert quality.median_error <= 0.07 and quality.kendall_tau >= 0.85


def test_latencies_of_other_shapes_teach_nothing(shapes: list[Shape], latencies: list[float]) -> None:
    mixed = np.random.default_rng(1).permutation(latencies[:90])
    quality = LatencyPredictor(CONDITIONS, shapes[:90], mixed.tolist()).quality(shapes[90:], latencies[90:])
    assert quality.median_error > 0.2  # ranks may be right by chance: everything grows with everything


def test_what_it_has_not_seen_it_is_less_sure_of(predictor: LatencyPredictor, shapes: list[Shape]) -> None:
    far = Shape(12, 1024, 16, 4096)
    assert predictor.spread([far])[0] > 2 * predictor.spread(shapes[:5]).max()


def test_a_stored_predictor_predicts_the_same(predictor: LatencyPredictor, shapes: list[Shape], tmp_path: Path) -> None:
    predictor.save(tmp_path, quality={})
    loaded = LatencyPredictor.load(tmp_path)
    assert loaded.conditions == CONDITIONS
    np.testing.assert_array_equal(loaded.predict(shapes), predictor.predict(shapes))


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


def test_torch_itself_can_be_measured(tmp_path: Path) -> None:
    assert run(tmp_path / "out", runtime="torch-eager-fp32")["rows"] == 2


def test_a_killed_run_goes_on_after_its_last_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "AT_ONCE", 3)
    whole, measured = stage_module.measure, []

    def killed(works: Any, **options: Any) -> Any:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(len(works))
        return whole(works, **options)

    monkeypatch.setattr(stage_module, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out")
    again: list[int] = []
    monkeypatch.setattr(stage_module, "measure", lambda works, **o: again.append(len(works)) or whole(works, **o))
    run(tmp_path / "out")
    assert measured == [4, 4] and again == [3]  # the last group of 8 shapes, with the yardstick


def test_more_shapes_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--architectures: the space holds 8 shapes, 12 are wanted"):
        run(tmp_path / "out", fitted=10)


def test_an_unknown_runtime_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'onnxruntime-fp32'"):
        run(tmp_path / "out", runtime="onnxruntime-f32")
