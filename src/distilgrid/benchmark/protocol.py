"""The latency protocol: warm-up, then turns until the median is known. It keeps every sample.

Entries take turns (ABAB), so a machine that slows down slows all of them alike. A turn is a short burst of timed
calls after some untimed ones: the same call repeated, or one for each of many texts. A device that serves one model
runs it steadily. A single run right after another model's took a 3-layer MiniLM at length 32 about 1.5 times as long.
"""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.cost import Counter
from distilgrid.core.progress import progress
from distilgrid.tasks.model_inputs import SEED

PRIMING = 3
"""Untimed runs at the start of each turn."""
BURST = 5
"""Timed runs of each turn of a single call."""
CONFIDENCE = 0.95
FEWEST = 6
"""Fewest turns whose order statistics bound a median with 95 %."""

Run = Callable[[], object]
Work = Sequence[Run]
"""The timed calls of one turn of an entry."""


@dataclass(frozen=True)
class Steadiness:
    """Precision of the median of one measurement."""

    width: float | None  # of the median's confidence interval, as a share of the median; None for fewer than 6 turns
    drift: float  # change from the median of the first half of the turns to that of the second, as a share
    turns: int

    @classmethod
    def of(cls, medians: Sequence[float]) -> "Steadiness":
        """From the medians of turns in the order taken.

        Successive runs of one turn share the state of the machine, so a turn's median counts as one observation. The
        interval of order statistics (binomial) makes no assumption about the distribution.
        """
        values, width, drift = np.asarray(medians, dtype=float), None, 0.0
        middle, half = float(np.median(values)), len(values) // 2
        if half:
            drift = float(np.median(values[-half:]) - np.median(values[:half])) / middle
        if len(values) >= FEWEST:
            bounds = stats.quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
            width = float((bounds.high - bounds.low) / middle)
        return cls(width, drift, len(values))

    def settled(self, precision: float) -> bool:
        """Whether the interval is at most this share wide."""
        return self.width is not None and self.width <= precision

    def drifts(self, bound: float) -> bool:
        """Whether the median moved by more than this share."""
        return abs(self.drift) > bound

    def noisy(self, bound: float) -> bool:
        """Whether the median drifts, or is not known to the bound."""
        return self.drifts(bound) or not self.settled(bound)


@dataclass
class Series:
    """The turns of one entry at one shape."""

    turns: list[list[float]] = field(default_factory=list)  # the times of each turn's runs in ms, in the order taken
    joules: float | None = None  # energy of all runs, untimed ones included; None without a counter
    runs: int = 0  # number of these runs
    attempts: int = 1  # number of times that the measurement began
    given_up: list[list[float]] = field(default_factory=list)  # the times in ms of the attempts that drifted more

    @property
    def samples(self) -> list[float]:
        """All times in ms."""
        return [sample for turn in self.turns for sample in turn]

    @property
    def steadiness(self) -> Steadiness:
        """Precision of its median."""
        return Steadiness.of([float(np.median(turn)) for turn in self.turns])

    def summary(self, *, max_drift: float) -> dict[str, Any]:
        """Its entry in `benchmark.json`: percentiles, their precision, raw samples in ms."""
        p50, p90, p99 = np.percentile(self.samples, [50, 90, 99]).round(5).tolist()
        known = self.steadiness
        return {
            "p50_ms": p50,
            "p90_ms": p90,
            "p99_ms": p99,
            **asdict(known),
            "noisy": known.noisy(max_drift),
            "attempts": self.attempts,
            "energy_mj": None if self.joules is None else round(1e3 * self.joules / self.runs, 4),
            "samples_ms": _rounded(self.samples),
            "given_up_ms": [_rounded(samples) for samples in self.given_up],
        }


def _rounded(samples: Sequence[float]) -> list[float]:
    return [round(sample, 5) for sample in samples]


def repeated(run: Run) -> Work:
    """The work of a turn that measures a single call."""
    return [run] * BURST


def measure(works: Sequence[Work], *, protocol: Benchmark, label: str, energy: Counter | None = None) -> list[Series]:
    """Time the entries' calls in turns until each median is known, or the most repetitions are reached.

    The number of turns is a fifth of the protocol's repetitions. Entries whose times drift are measured again,
    together, as often as the protocol allows. `label` names the work on the progress line; `energy` is the counter of
    the processor. Returns one series for each entry, in their order.
    """
    found = _attempt(works, protocol, label, energy)
    for attempt in range(2, protocol.retries + 2):
        drifting = [n for n, series in enumerate(found) if series.steadiness.drifts(protocol.max_drift)]
        if not drifting:
            break
        again = _attempt([works[n] for n in drifting], protocol, f"{label}, again", energy)
        for number, series in zip(drifting, again, strict=True):
            series.attempts = attempt
            found[number] = _steadier(found[number], series)
    return found


def _steadier(old: Series, new: Series) -> Series:
    kept, other = sorted((old, new), key=lambda series: abs(series.steadiness.drift))
    kept.attempts, kept.given_up = new.attempts, [*old.given_up, other.samples]
    return kept


def _attempt(works: Sequence[Work], protocol: Benchmark, label: str, energy: Counter | None) -> list[Series]:
    for work in works:
        for _ in range(protocol.warmup):
            work[0]()
    order, found = np.random.default_rng(SEED), [Series() for _ in works]
    least, most = (-(-n // BURST) for n in (protocol.repetitions, max(protocol.repetitions, protocol.max_repetitions)))
    with _no_garbage_collection():
        for _ in progress(range(least), total=least, label=label):
            for index in order.permutation(len(works)):
                _turn(works[index], found[index], energy)
        for _ in progress(range(least, most), total=most - least, label=f"{label}, until medians are known (at most)"):
            unknown = [n for n, series in enumerate(found) if not series.steadiness.settled(protocol.precision)]
            if not unknown:
                break
            for index in order.permutation(unknown):
                _turn(works[index], found[index], energy)
    return found


def _turn(work: Work, series: Series, energy: Counter | None) -> None:
    before = energy() if energy else 0.0
    for _ in range(PRIMING):
        work[0]()
    times = []
    for run in work:
        start = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - start) / 1e6)
    series.turns.append(times)
    series.runs += PRIMING + len(work)
    if energy:
        series.joules = (series.joules or 0.0) + energy() - before


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
