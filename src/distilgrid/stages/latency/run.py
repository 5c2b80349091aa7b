"""Stage `latency`: measure random shapes of a search space on a runtime, and fit a predictor to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilgrid.benchmark.footprint import gpu_name
from distilgrid.core.artefacts import STATE
from distilgrid.core.errors import UserError
from distilgrid.core.journal import Journal
from distilgrid.core.machine import describe_machine
from distilgrid.core.progress import progress
from distilgrid.search.architecture import Architecture
from distilgrid.search.latency_bench import AT_ONCE, VOCABULARY, LatencyBench
from distilgrid.search.latency_predictor import LatencyPredictor
from distilgrid.stages.job import Job
from distilgrid.stages.latency.declare import LatencySettings


def latency(settings: LatencySettings, job: Job) -> dict[str, Any]:
    """Measure shapes and fit a predictor to the first of them; returns how well it predicts the others.

    Shapes are measured in groups of 8, each next to one shape that is the same in all, the yardstick. A group's
    latencies are scaled by what the machine did to that, against its median over groups. A killed run goes on after
    its last group.

    Raises:
        UserError: when the space holds too few shapes, the runtime's packages are missing, or it has no graph to leave
            as it is.
    """
    space, fitted, count = settings.space, settings.fitted, settings.fitted + settings.held_out
    shapes = space.sample(count, seed=settings.seed)
    if len(shapes) < count:
        raise UserError(f"--architectures: the space holds {len(shapes)} shapes, {count} are wanted")
    conditions, protocol, vocabulary = settings.conditions, settings.protocol, settings.vocabulary or VOCABULARY
    bench, journal = LatencyBench(conditions, protocol, vocabulary=vocabulary), Journal(job.out / STATE, required=False)
    groups = [[shapes[0], *shapes[start : start + AT_ONCE]] for start in range(0, len(shapes), AT_ONCE)]
    waiting = progress(groups, total=len(groups), label="shapes")
    latencies, yardstick = _scaled([_group(bench, journal, group) for group in waiting])
    predictor = LatencyPredictor(conditions, shapes[:fitted], latencies[:fitted])
    judged = _judged(predictor, shapes[fitted:], latencies[fitted:])
    facts = {"space": space.model_dump(), **judged, "yardstick": yardstick, "protocol": protocol.model_dump()}
    predictor.save(job.folder, **facts, machine=describe_machine() | gpu_name(conditions.processor))
    return dict(judged["quality"])


def _judged(predictor: LatencyPredictor, shapes: Sequence[Architecture], latencies: Sequence[float]) -> dict[str, Any]:
    """The held-out shapes with what was measured and predicted, and how far these are apart."""
    rows = zip(shapes, latencies, predictor.predict(shapes).tolist(), strict=True)
    held_out = [{**s.as_dict(), "latency_ms": measured, "predicted_ms": found} for s, measured, found in rows]
    return {"quality": predictor.quality(shapes, latencies), "held_out": held_out}


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
