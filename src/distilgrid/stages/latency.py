"""Stage `latency`: measure random shapes of a search space on a runtime, and fit a predictor to them."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilgrid.artefacts import STATE, writing
from distilgrid.benchmark.pinning import alone, pinned
from distilgrid.benchmark.protocol import Series, measure, repeated
from distilgrid.benchmark.settings import Benchmark
from distilgrid.devices.files import load_device
from distilgrid.devices.settings import LocalDevice
from distilgrid.errors import UserError
from distilgrid.fingerprint import recipe_key
from distilgrid.journal import Journal
from distilgrid.machine import describe_machine
from distilgrid.progress import progress
from distilgrid.recipes import latency_recipe
from distilgrid.runtimes.base import Execution, Sample
from distilgrid.runtimes.registry import find_runtime, open_exporter, open_runtime
from distilgrid.search.build import POSITIONS, VOCABULARY, build_shape
from distilgrid.search.latency_predictor import Conditions, LatencyPredictor
from distilgrid.search.space import Shape, Space

AT_ONCE = 8
"""Shapes that take turns with each other and with the yardstick."""
CALIBRATION_ROWS = 16
SEED = 0


def latency(
    *,
    space: Space,
    runtime: str,
    settings: Benchmark,
    device: str,
    fitted: int,
    held_out: int,
    out: Path,
    seed: int = SEED,
    vocabulary: int = VOCABULARY,
) -> dict[str, Any]:
    """Measure shapes and fit a predictor to the first of them; returns how well it predicts the others.

    Shapes are measured in groups of 8, each beside one shape that is the same in all, the yardstick: a group's
    latencies are scaled by what the machine did to that, against its median over groups. A killed run goes on after
    its last group.

    Args:
        space: where the shapes are drawn from.
        runtime: that executes them.
        settings: the protocol; its first batch size and last length are measured.
        device: a local CPU by name; its first number of threads is measured.
        fitted: shapes that the predictor sees.
        held_out: shapes that judge it.
        out: where `measurements.parquet` and `predictor.json` go.
        seed: of the draw.
        vocabulary: tokens of the models' embeddings.

    Raises:
        UserError: when the space holds too few shapes, or the runtime's packages are missing.
    """
    where = load_device(device)
    if not isinstance(where, LocalDevice) or where.processor != "cpu":
        raise UserError(f"--device: shapes are measured on a CPU of this machine, and '{device}' is none")
    shapes = space.sample(fitted + held_out, seed=seed)
    if len(shapes) < fitted + held_out:
        raise UserError(f"--architectures: the space holds {len(shapes)} shapes, {fitted + held_out} are wanted")
    conditions = Conditions(device, runtime, where.threads[0], settings.batch_sizes[0], settings.lengths[-1])
    recipe = latency_recipe(
        space=space, conditions=asdict(conditions), settings=settings, counts=(fitted, held_out), seed=seed
    )
    with writing(out, recipe=recipe, labels={"runtime": runtime}) as folder, alone(), pinned(conditions.threads):
        bench = _Bench(conditions, settings, vocabulary, Journal(out / STATE))
        groups = [shapes[start : start + AT_ONCE] for start in range(0, len(shapes), AT_ONCE)]
        found = [bench.group([shapes[0], *group]) for group in progress(groups, total=len(groups), label="shapes")]
        latencies, yardstick = _scaled(found)
        predictor = LatencyPredictor(conditions, shapes[:fitted], latencies[:fitted])
        judged = _judged(predictor, shapes[fitted:], latencies[fitted:])
        facts = {"space": space.model_dump(), **judged, "yardstick": yardstick, "protocol": settings.model_dump()}
        predictor.save(folder, **facts, machine=describe_machine())
        quality: dict[str, Any] = judged["quality"]
        return quality


def _judged(predictor: LatencyPredictor, shapes: Sequence[Shape], latencies: Sequence[float]) -> dict[str, Any]:
    """The held-out shapes with what was measured and predicted, and how far these are apart."""
    rows = zip(shapes, latencies, predictor.predict(shapes).tolist(), strict=True)
    held_out = [{**s.as_dict(), "latency_ms": measured, "predicted_ms": found} for s, measured, found in rows]
    return {"quality": predictor.quality(shapes, latencies).as_dict(), "held_out": held_out}


def _scaled(groups: Sequence[Sequence[float]]) -> tuple[list[float], dict[str, float]]:
    """Latencies of all shapes with each group scaled to the yardstick's median, and how far the yardstick went."""
    yardsticks = np.array([group[0] for group in groups])
    usual = float(np.median(yardsticks))
    latencies = [
        ms * usual / yardstick for group, yardstick in zip(groups, yardsticks, strict=True) for ms in group[1:]
    ]
    low, high = (yardsticks / usual).min(), (yardsticks / usual).max()
    return latencies, {"median_ms": usual, "lowest": float(low), "highest": float(high)}


class _Bench:
    """Builds, exports and times groups of shapes, or finds them in the journal."""

    def __init__(self, conditions: Conditions, settings: Benchmark, vocabulary: int, journal: Journal) -> None:
        self._conditions, self._vocabulary, self._journal = conditions, vocabulary, journal
        self._settings = settings
        self._inputs = _random_inputs(vocabulary, conditions.batch, conditions.length)

    def group(self, shapes: Sequence[Shape]) -> list[float]:
        """Median latencies in ms."""
        protocol = self._settings.model_dump(exclude={"runtimes", "lengths", "batch_sizes"})
        facts = {"conditions": asdict(self._conditions), "protocol": protocol, "vocabulary": self._vocabulary}
        key = recipe_key({"shapes": [shape.as_dict() for shape in shapes], **facts})
        stored = self._journal.find(key)
        if stored is None:
            stored = [repr(float(np.median(series.samples))) for series in self._measure(shapes)]
            self._journal.add(key, stored)
        return [float(text) for text in stored]

    def _measure(self, shapes: Sequence[Shape]) -> list[Series]:
        with tempfile.TemporaryDirectory() as scratch:
            works = []
            for number, shape in enumerate(shapes):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                works.append(repeated(self._session(shape, folder).bind(self._inputs)))
            return measure(works, protocol=self._settings, label="a group")

    def _session(self, shape: Shape, folder: Path) -> Any:
        runtime, how = self._conditions.runtime, Execution(self._conditions.threads)
        model = build_shape(shape, vocabulary=self._vocabulary)
        if find_runtime(runtime).exported:
            open_exporter(runtime).export(model, self._sample(), folder)
        else:
            model.save_pretrained(folder)
        return open_runtime(runtime).load(folder, how)

    def _sample(self) -> Sample:
        length = self._conditions.length
        rows = [_tensors(_random_inputs(self._vocabulary, 1, length, seed)) for seed in range(CALIBRATION_ROWS)]
        return Sample(_tensors(_random_inputs(self._vocabulary, 2, length)), rows, min(length, POSITIONS))


def _random_inputs(vocabulary: int, batch: int, length: int, seed: int = SEED) -> dict[str, np.ndarray]:
    """Random tokens under a full mask: (B, L) int64 each."""
    ids = np.random.default_rng([SEED, seed]).integers(1, vocabulary, size=(batch, length), dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
