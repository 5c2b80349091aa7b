"""Stage `latency`: measure random shapes of a search space on a runtime, and fit a predictor to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import STATE, writing
from distilgrid.core.errors import UserError
from distilgrid.core.journal import Journal
from distilgrid.core.machine import describe_machine
from distilgrid.core.progress import progress
from distilgrid.devices.files import load_device
from distilgrid.devices.settings import LocalDevice
from distilgrid.plan.recipes import latency_recipe
from distilgrid.search.architecture import Architecture
from distilgrid.search.build import VOCABULARY
from distilgrid.search.conditions import Conditions
from distilgrid.search.latency_bench import AT_ONCE, SEED, LatencyBench
from distilgrid.search.latency_predictor import LatencyPredictor
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.search.space import Space


def latency(
    *,
    space: Space | LayeredSpace,
    runtime: str,
    settings: Benchmark,
    device: str,
    fitted: int,
    held_out: int,
    out: Path,
    fused: bool = True,
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
        fused: whether the runtime may rewrite the graph.
        seed: of the draw.
        vocabulary: tokens of the models' embeddings.

    Raises:
        UserError: when the space holds too few shapes, the runtime's packages are missing, or it has no graph to leave
            as it is.
    """
    where = load_device(device)
    if not isinstance(where, LocalDevice) or where.processor != "cpu":
        raise UserError(f"--device: shapes are measured on a CPU of this machine, and '{device}' is none")
    shapes = space.sample(fitted + held_out, seed=seed)
    if len(shapes) < fitted + held_out:
        raise UserError(f"--architectures: the space holds {len(shapes)} shapes, {fitted + held_out} are wanted")
    threads, batch, length = where.threads[0], settings.batch_sizes[0], settings.lengths[-1]
    conditions = Conditions(device, runtime, threads, batch, length, fused=fused)
    bench = LatencyBench(conditions, settings, vocabulary=vocabulary)
    recipe = latency_recipe(
        space=space, conditions=conditions.as_dict(), settings=settings, counts=(fitted, held_out), seed=seed
    )
    with writing(out, recipe=recipe, labels={"runtime": runtime}) as folder:
        journal = Journal(out / STATE, required=False)
        groups = [[shapes[0], *shapes[start : start + AT_ONCE]] for start in range(0, len(shapes), AT_ONCE)]
        waiting = progress(groups, total=len(groups), label="shapes")
        found = [_group(bench, journal, group) for group in waiting]
        latencies, yardstick = _scaled(found)
        predictor = LatencyPredictor(conditions, shapes[:fitted], latencies[:fitted])
        judged = _judged(predictor, shapes[fitted:], latencies[fitted:])
        facts = {"space": space.model_dump(), **judged, "yardstick": yardstick, "protocol": settings.model_dump()}
        predictor.save(folder, **facts, machine=describe_machine())
        quality: dict[str, Any] = judged["quality"]
        return quality


def _judged(predictor: LatencyPredictor, shapes: Sequence[Architecture], latencies: Sequence[float]) -> dict[str, Any]:
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


def _group(bench: LatencyBench, journal: Journal, group: Sequence[Architecture]) -> list[float]:
    """Median latencies in ms, measured or found in the journal."""
    key = bench.key(shapes=[shape.as_dict() for shape in group])
    found: list[float] | None = journal.find(key)
    return list(journal.keep(key, bench.medians(group))) if found is None else found
