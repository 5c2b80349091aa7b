"""Intervals and tests over seeds and rows.

Rows: the paired bootstrap (Efron & Tibshirani 1993, ch. 13; paired as in Berg-Kirkpatrick et al. 2012). Every model is
scored on the same resamples, so the difference of two models keeps what their rows have in common. A resample is a row
of multinomial weights: how often each validation row was drawn. A metric combines weighted sums of the statistics of
rows, so that scoring a model on all resamples is a matrix product.

Seeds and rows: an effect varies with the seeds of its models (a), with the rows that they are scored on (r), and with
both together (e). Each seed gets other rows wrong. For n seeds on the same N rows, the variance of the mean is

    var(a) / n + var(e) / n + var(r)

The sample variance S^2 over seeds estimates var(a) + var(e). The paired bootstrap over rows tells the rest apart. E,
the variance of the seeds' distances from their mean, estimates var(e). That of the mean, less E / n, estimates
var(r) = C. So the variance is V = max(S^2, E) / n + C, and the interval is

    effect +- t_v sqrt(V),    v = V^2 / ((S^2 / n)^2 / (n - 1) + C^2 / (N - 1))

with the degrees of freedom of Welch and Satterthwaite. A percentile bootstrap is far too narrow over two or three
seeds. One that draws seeds and rows counts var(e) up to three times (Owen 2007, the pigeonhole bootstrap).
A single seed tells nothing of var(a), so it has neither an interval nor a p-value.

Every interval, p-value, tone and star of a report, a paper's page and its claims comes from here, except those of
rank correlations (`search.ranks`).
"""

import bisect
import functools
import itertools
import math
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from distilgrid.tasks.kind import find_metric

Name = TypeVar("Name", bound=Hashable)
BLOCK = 4_000_000
"""The number of weights in memory at a time: 32 MB."""
TOLERANCE = 0.1
"""The relative error that resampling may add to a p-value which decides a comparison."""
EXACT = 1e-12
"""Differences below this are rounding errors of means: of seven equal scores, and of two."""
FEWEST_SEEDS = 3
"""The fewest seeds of a comparison that may be marked as clear. With two, S^2 has one degree of freedom."""


def resampled_scores(metric: str, *, labels: np.ndarray, predicted: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """A metric of each model on each of S resamples of the rows: (S, M).

    Labels are (N,), and predictions (N, M): a column for each model. Equal seeds and N draw equal rows.
    """
    weights = _weights(len(labels), samples, seed)
    return np.concatenate([weighted_scores(metric, block, labels, predicted) for block in weights])


def weighted_scores(metric: str, weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """A metric under row weights (S, N), labels (N,) and predictions (N, M): (S, M). Undefined values count as 0."""
    scorer = find_metric(metric)
    return np.stack([scorer.resampled(weights, scorer.per_row(labels, column)) for column in predicted.T], axis=1)


def _weights(rows: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of multinomial weights (S', N) with sum N: counts of N draws with replacement."""
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // rows)
    for start in range(0, samples, block):
        count = min(block, samples - start)
        drawn = generator.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)


def samples_needed(comparisons: int, confidence: float, *, least: int) -> int:
    """The number of resamples S, for the strictest threshold that Holm's correction sets among `comparisons`.

    That threshold is alpha / m, the quantile z of a normal distribution. S resamples know a variance with a relative
    error of sqrt(2 / S), and d ln p / d ln V is about z^2 / 2. So p has the relative error TOLERANCE for
    S = z^4 / (2 TOLERANCE^2). No p-value is a share of resamples, which would never be below 2 / (S + 1).
    """
    from scipy.special import ndtri

    z = float(ndtri(1 - (1 - confidence) / (2 * max(1, comparisons))))
    return max(least, math.ceil(z**4 / (2 * TOLERANCE**2)))


def holm(values: Mapping[Name, float]) -> dict[Name, float]:
    """P-values of a family of comparisons, corrected by Holm's step-down procedure.

    The k-th smallest of m is multiplied by m - k + 1, and no corrected value is smaller than the one before it.
    """
    ranked = sorted(values.items(), key=lambda item: item[1])
    corrected = (min(1.0, (len(values) - rank) * value) for rank, (_, value) in enumerate(ranked))
    return dict(zip((name for name, _ in ranked), itertools.accumulate(corrected, max), strict=True))


@dataclass(frozen=True, eq=False)
class SeedBlock:
    """Seeds of one contrast: the values (n,), and the values on each resample of rows (S, n), or None without rows."""

    values: np.ndarray
    resampled: np.ndarray | None = None


@dataclass(frozen=True)
class SeedPart:
    """Variance of a single seed: `spread` is S^2 and `row_noise` is E, from n `seeds`."""

    spread: float
    row_noise: float
    seeds: int


@dataclass(frozen=True)
class RowPart:
    """Variance over rows that more seeds do not reduce: C, from N `rows`."""

    variance: float
    rows: int


@dataclass(frozen=True, eq=False)
class EffectEstimate:
    """An effect with its error."""

    effect: float  # the mean over seeds
    seeds: tuple[SeedPart, ...] | None  # variance over seeds; None with a single seed
    rows: tuple[RowPart, ...]  # variance over rows; empty for numbers that are not means over rows
    # the largest error of a measured effect, which has neither seeds nor rows; None for other effects
    error: float | None = None

    @property
    def covers(self) -> str:
        """The variation that the interval covers."""
        if self.error is not None:
            return "measuring"
        if self.seeds is None:
            return "nothing"
        return "seeds and rows" if self.rows else "seeds"


def estimate(blocks: Sequence[SeedBlock], *, rows: int) -> EffectEstimate:
    """The sum of blocks with independent seeds. Paired seeds form one block, unpaired ones a block for each side.

    A block of a single seed leaves the variance over seeds unknown.
    """
    effect = float(sum(block.values.mean() for block in blocks))
    if any(len(block.values) < 2 for block in blocks):
        return EffectEstimate(effect, None, ())
    parts = tuple(_seed_part(block) for block in blocks)
    drawn = [block.resampled.mean(axis=1) for block in blocks if block.resampled is not None]
    if not drawn:
        return EffectEstimate(effect, parts, ())
    shared = float(np.sum(drawn, axis=0).var(ddof=1)) - sum(part.row_noise / part.seeds for part in parts)
    return EffectEstimate(effect, parts, (RowPart(max(0.0, shared), rows),))


def _seed_part(block: SeedBlock) -> SeedPart:
    count = len(block.values)
    noise = 0.0
    if block.resampled is not None:
        apart = block.resampled - block.resampled.mean(axis=1, keepdims=True)
        noise = float(apart.var(axis=0, ddof=1).sum()) / (count - 1)
    return SeedPart(float(block.values.var(ddof=1)), noise, count)


def mean_of(estimates: Sequence[EffectEstimate]) -> EffectEstimate:
    """The unweighted mean over tasks, whose seeds and rows are independent."""
    share = 1 / len(estimates)
    errors = [found.error for found in estimates if found.error is not None]
    known = [found.seeds for found in estimates if found.seeds is not None]
    parts = [SeedPart(p.spread * share**2, p.row_noise * share**2, p.seeds) for seeds in known for p in seeds]
    return EffectEstimate(
        effect=share * sum(found.effect for found in estimates),
        seeds=tuple(parts) if len(known) == len(estimates) else None,
        rows=tuple(RowPart(part.variance * share**2, part.rows) for found in estimates for part in found.rows),
        error=share * sum(errors) if len(errors) == len(estimates) else None,
    )


def bounds(found: EffectEstimate, confidence: float) -> tuple[float, float] | None:
    """The interval, or None with a single seed."""
    if found.error is not None:
        return found.effect - found.error, found.effect + found.error
    if found.seeds is None:
        return None
    margin = _margin(found.seeds, found.rows, confidence)
    return found.effect - margin, found.effect + margin


def p_value(found: EffectEstimate, *, against: float = 0.0) -> float | None:
    """The two-sided p-value of an effect that equals `against`, from Student's t.

    It is None with a single seed, and for a measured effect.
    """
    if found.error is not None or found.seeds is None:
        return None
    from scipy.special import stdtr

    variance, freedom = _variance(found.seeds, found.rows)
    distance = abs(found.effect - against)
    if distance < EXACT or variance == 0:
        return 1.0 if distance < EXACT else 0.0
    return float(2 * stdtr(freedom, -distance / math.sqrt(variance)))


def seed_error(found: EffectEstimate) -> float:
    """The standard error of an effect over its seeds, on the same rows; infinite with a single seed."""
    return math.inf if found.seeds is None else math.sqrt(_variance(found.seeds, ())[0])


def rows_too_few(found: EffectEstimate, distance: float, confidence: float) -> bool:
    """Whether an effect at a distance from its threshold stays unclear with any number of seeds."""
    return found.seeds is not None and distance > 0 and _margin((), found.rows, confidence) >= distance


def seeds_needed(found: EffectEstimate, distance: float, confidence: float) -> int | None:
    """The smallest number of seeds, on the same rows, whose interval is narrower than a distance on each side.

    None when the variance over seeds is unknown, or when no number is enough.
    """
    if found.seeds is None or distance <= 0 or rows_too_few(found, distance, confidence):
        return None
    narrow = functools.partial(_margin, found.seeds, found.rows, confidence)
    counts = range(2, sys.maxsize)  # one seed is never enough, as its variance is unknown
    return counts[bisect.bisect_left(counts, True, key=lambda count: narrow(count) < distance)]


def _margin(seeds: Sequence[SeedPart], rows: Sequence[RowPart], confidence: float, count: int | None = None) -> float:
    """Half the width of the interval, if there were `count` seeds."""
    from scipy.special import stdtrit

    variance, freedom = _variance(seeds, rows, count)
    return float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)


def _variance(seeds: Sequence[SeedPart], rows: Sequence[RowPart], count: int | None = None) -> tuple[float, float]:
    """The variance of the effect and its degrees of freedom."""
    variance, uncertainty = 0.0, 0.0
    for part in seeds:
        number = count or part.seeds
        variance += max(part.spread, part.row_noise) / number
        uncertainty += (part.spread / number) ** 2 / (number - 1)
    for shared in rows:
        variance += shared.variance
        uncertainty += shared.variance**2 / max(1, shared.rows - 1)
    freedom = variance**2 / uncertainty if uncertainty > 0 else math.inf
    return variance, min(freedom, 1e6)
