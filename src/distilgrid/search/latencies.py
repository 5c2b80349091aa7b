"""Latencies of candidates: measured on this machine, or predicted."""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.errors import UserError
from distilgrid.core.journal import Journal
from distilgrid.search.architecture import Architecture
from distilgrid.search.conditions import Conditions
from distilgrid.search.latency_bench import AT_ONCE, LatencyBench
from distilgrid.search.latency_predictor import LatencyPredictor

log = logging.getLogger(__name__)
REFERENCE_RUNS = 3


class LatencySource(Protocol):
    """Latencies of architectures, the same ones on each request."""

    conditions: Conditions
    """Conditions that the latencies hold for."""

    def latencies(self, architectures: Sequence[Architecture]) -> list[float]:
        """Latency in ms of each architecture."""


class MeasuredLatency:
    """Measures each architecture once.

    Groups of 8 take turns with the yardstick, an architecture that is the same in every run. The ratio of the
    yardstick's first latency to its latency now corrects them for the state of the machine. `folder` stores the
    measurements, so a killed search, or one that runs as several jobs, gets the same numbers; None stores nothing.
    """

    def __init__(self, bench: LatencyBench, *, yardstick: Architecture, folder: Path | None) -> None:
        self._bench, self._yardstick, self.conditions = bench, yardstick, bench.conditions
        self._journal = Journal(folder)
        self._found: dict[Architecture, float] = {}

    def latencies(self, architectures: Sequence[Architecture]) -> list[float]:
        """Latency in ms of each architecture. Raises UserError when an architecture cannot be built or run."""
        unknown = [each for each in dict.fromkeys(architectures) if not self._known(each)]
        for start in range(0, len(unknown), AT_ONCE):
            self._measure(unknown[start : start + AT_ONCE])
        return [self._found[each] for each in architectures]

    def _known(self, architecture: Architecture) -> bool:
        if architecture not in self._found and (stored := self._journal.find(self._key(architecture))) is not None:
            self._found[architecture] = stored
        return architecture in self._found

    def _measure(self, group: Sequence[Architecture]) -> None:
        usual = self._usual
        now, *latencies = self._bench.medians([self._yardstick, *group])
        log.info("measured %d architectures; the yardstick took %.2f times the usual", len(group), now / usual)
        for architecture, latency in zip(group, latencies, strict=True):
            self._found[architecture] = float(self._journal.keep(self._key(architecture), latency * usual / now))

    @cached_property
    def _usual(self) -> float:
        """The yardstick's usual latency in ms: the first that was measured."""
        key = self._bench.key(reference=self._yardstick.as_dict())
        stored: float | None = self._journal.find(key)
        if stored is None:  # another job may keep its own meanwhile: the first one stands
            medians = self._bench.medians([self._yardstick] * REFERENCE_RUNS)
            stored = float(self._journal.keep(key, float(np.median(medians))))
        return stored

    def _key(self, architecture: Architecture) -> str:
        return self._bench.key(architecture=architecture.as_dict(), yardstick=self._yardstick.as_dict())


def open_source(
    conditions: Conditions,
    *,
    protocol: Benchmark,
    predictor: Path | None,
    yardstick: Architecture,
    folder: Path | None,
) -> LatencySource:
    """Latencies under some conditions: of the predictor in a folder, or measured where there is none.

    Raises UserError for a runtime that cannot be measured so, or a predictor that is missing, damaged or of other
    conditions.
    """
    if predictor is None:
        return MeasuredLatency(LatencyBench(conditions, protocol), yardstick=yardstick, folder=folder)
    fitted = LatencyPredictor.load(predictor)
    if fitted.conditions != conditions:
        raise UserError(f"{predictor}: predicts {fitted.conditions}, but {conditions} is wanted; fit another one")
    return fitted


def refuse_impossible_limit(limit_ms: float, architectures: Sequence[Architecture], source: LatencySource) -> None:
    """Refuse a latency limit that no architecture keeps to. Raises UserError naming the fastest one."""
    latencies = source.latencies(architectures)
    place = min(range(len(latencies)), key=latencies.__getitem__)
    if latencies[place] > limit_ms:
        raise UserError(
            f"latency limit {limit_ms:g} ms: no architecture is that fast; the fastest of {len(architectures)}, "
            f"{architectures[place].name}, takes {latencies[place]:.3g} ms on {source.conditions.runtime}; raise the "
            "limit or widen the space"
        )
