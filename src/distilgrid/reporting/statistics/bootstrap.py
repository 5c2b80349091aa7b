"""Paired bootstrap over validation rows (Efron & Tibshirani 1993, ch. 13; paired as in Berg-Kirkpatrick et al. 2012).

Every model is scored on the same resamples, so the difference of two models keeps what their rows have in common.
A resample is a row of multinomial weights: how often each validation row was drawn. A metric combines weighted sums of
the statistics of rows, so that scoring a model on all resamples is a matrix product.
"""

from collections.abc import Iterator

import numpy as np

from distilgrid.tasks.kind import find_metric

BLOCK = 4_000_000
"""The number of weights in memory at a time: 32 MB."""


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


def interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval of resampled statistics (S,)."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def _weights(rows: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of multinomial weights (S', N) with sum N: counts of N draws with replacement."""
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // rows)
    for start in range(0, samples, block):
        count = min(block, samples - start)
        drawn = generator.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)
