"""Where a search takes the latency of its candidates from: measured on this machine, or predicted."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.errors import UserError
from distilgrid.core.journal import Journal
from distilgrid.runtimes.base import Processor
from distilgrid.search.architecture import Architecture
from distilgrid.search.build import VOCABULARY
from distilgrid.search.conditions import Conditions
from distilgrid.search.latency_bench import AT_ONCE, LatencyBench
from distilgrid.search.latency_predictor import LatencyPredictor

log = logging.getLogger(__name__)
REFERENCE_RUNS = 3


class LatencySource(Protocol):
    """Tells latencies, the same ones whenever it is asked again."""

    @property
    def conditions(self) -> Conditions:
        """What they are latencies of."""

    def latencies(self, architectures: Sequence[Architecture]) -> list[float]:
        """Of each architecture the latency in ms."""


class MeasuredLatency:
    """Measures architectures it has not met, and remembers all.

    They are measured in groups of 8 that take turns with one architecture that is the same in all, the yardstick, and
    are scaled by what the machine did to that: by its latency when all began, against its latency now. What is measured
    is kept, so that a search that was killed, or runs as several jobs, gets the very same numbers each time.

    Args:
        bench: builds and times architectures.
        yardstick: of the search: the same one in every run.
        folder: of what is kept, shared by searches and jobs; None keeps nothing.
    """

    def __init__(self, bench: LatencyBench, *, yardstick: Architecture, folder: Path | None) -> None:
        self._bench, self._yardstick = bench, yardstick
        self._journal = Journal(folder)
        self._found: dict[Architecture, float] = {}
        self._usual: float | None = None

    @property
    def conditions(self) -> Conditions:
        """What is measured."""
        return self._bench.conditions

    def latencies(self, architectures: Sequence[Architecture]) -> list[float]:
        """See `LatencySource`. Raises UserError when an architecture cannot be built or run."""
        unknown = [each for each in dict.fromkeys(architectures) if not self._known(each)]
        for start in range(0, len(unknown), AT_ONCE):
            self._measure(unknown[start : start + AT_ONCE])
        return [self._found[each] for each in architectures]

    def _known(self, architecture: Architecture) -> bool:
        if architecture not in self._found:
            stored = self._find(self._key(architecture))
            if stored is not None:
                self._found[architecture] = stored
        return architecture in self._found

    def _measure(self, group: Sequence[Architecture]) -> None:
        usual = self._reference()
        now, *latencies = self._bench.medians([self._yardstick, *group])
        log.info("measured %d architectures; the yardstick took %.2f times the usual", len(group), now / usual)
        for architecture, latency in zip(group, latencies, strict=True):
            self._found[architecture] = self._keep(self._key(architecture), latency * usual / now)

    def _reference(self) -> float:
        """The yardstick's usual latency in ms: that of the first time it was measured."""
        if self._usual is None:
            key = self._bench.key(reference=self._yardstick.as_dict())
            stored = self._find(key)
            if stored is None:
                stored = self._keep(key, float(np.median(self._bench.medians([self._yardstick] * REFERENCE_RUNS))))
            self._usual = stored
        return self._usual

    def _find(self, key: str) -> float | None:
        found: float | None = self._journal.find(key)
        return found

    def _keep(self, key: str, latency_ms: float) -> float:
        """Keep a latency; returns the one that stands, which another job may have kept before."""
        return float(self._journal.keep(key, latency_ms))

    def _key(self, architecture: Architecture) -> str:
        return self._bench.key(architecture=architecture.as_dict(), yardstick=self._yardstick.as_dict())


class PredictedLatency:
    """Asks a predictor: for a search whose every candidate cannot be measured."""

    def __init__(self, predictor: LatencyPredictor) -> None:
        self._predictor = predictor

    @property
    def conditions(self) -> Conditions:
        """What the predictor was fitted to."""
        return self._predictor.conditions

    def latencies(self, architectures: Sequence[Architecture]) -> list[float]:
        """See `LatencySource`."""
        return [float(latency) for latency in self._predictor.predict(architectures)] if architectures else []


def open_source(
    conditions: Conditions,
    *,
    protocol: Benchmark,
    predictor: Path | None,
    yardstick: Architecture,
    folder: Path | None,
    processor: Processor = "cpu",
    vocabulary: int = VOCABULARY,
) -> LatencySource:
    """Where latencies under some conditions come from.

    Args:
        conditions: what they are latencies of.
        protocol: how measurements are made.
        predictor: folder of a predictor; None measures.
        yardstick: measured beside all others.
        folder: of what was measured; None keeps nothing.
        processor: what computes.
        vocabulary: tokens of the models' embeddings.

    Raises:
        UserError: for a runtime that cannot be measured so, or a predictor that is missing, damaged or of other
            conditions.
    """
    if predictor is None:
        bench = LatencyBench(conditions, protocol, vocabulary=vocabulary, processor=processor)
        return MeasuredLatency(bench, yardstick=yardstick, folder=folder)
    fitted = LatencyPredictor.load(predictor)
    if fitted.conditions != conditions:
        raise UserError(f"{predictor}: predicts {fitted.conditions}, but {conditions} is wanted; fit another one")
    return PredictedLatency(fitted)


def fastest(architectures: Sequence[Architecture], source: LatencySource) -> tuple[Architecture, float]:
    """The architecture with the lowest latency and that latency in ms; of equal ones the first."""
    latencies = source.latencies(architectures)
    place = min(range(len(latencies)), key=latencies.__getitem__)
    return architectures[place], latencies[place]


def refuse_impossible_limit(limit_ms: float, architectures: Sequence[Architecture], source: LatencySource) -> None:
    """Refuse a latency limit that no architecture keeps to.

    Args:
        limit_ms: the most that one may take.
        architectures: those of the space, or the smallest of it.
        source: tells their latencies.

    Raises:
        UserError: naming the fastest one and its latency.
    """
    found, latency = fastest(architectures, source)
    if latency > limit_ms:
        raise UserError(
            f"latency limit {limit_ms:g} ms: no architecture is that fast; the fastest of {len(architectures)}, "
            f"{found.name}, takes {latency:.3g} ms on {source.conditions.runtime}; raise the limit or widen the space"
        )
