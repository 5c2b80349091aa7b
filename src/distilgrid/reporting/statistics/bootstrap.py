"""Paired bootstrap over validation rows (Efron & Tibshirani 1993, ch. 13; paired as in Berg-Kirkpatrick et al. 2012).

Every model is scored on the same resamples, so the difference of two models keeps what their rows have in common.
A resample is a row of multinomial weights: how often each validation row was drawn. Metrics are then weighted sums, and
scoring all models on all resamples is a few matrix products.
"""

from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 4_000_000
"""Weights held at a time: 32 MB of them."""

Scorer = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def resampled_scores(metric: str, *, labels: np.ndarray, predicted: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """A metric of each model on each resample of the rows: (S, M).

    Args:
        metric: accuracy, f1 (label 1 is positive), matthews, pearson or spearman.
        labels: (N,) label numbers, or real numbers for a regression.
        predicted: (N, M) predicted labels, or real numbers: one column for each model.
        samples: S, the number of resamples.
        seed: of the resamples; equal seeds and N draw equal rows.
    """
    blocks = _weights(len(labels), samples, seed)
    return np.concatenate([weighted_scores(metric, weights, labels, predicted) for weights in blocks])


def weighted_scores(metric: str, weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """A metric under row weights (S, N), labels (N,) and predictions (N, M): (S, M). Undefined values count as 0."""
    return SCORERS[metric](weights, labels, predicted)


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


def _accuracy(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(weights @ (predicted == labels[:, None]), weights.sum(axis=1, keepdims=True))


def _f1(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    truth, guess = (labels == 1)[:, None], predicted == 1
    hits = weights @ (truth & guess)
    return _ratio(2 * hits, weights @ truth + weights @ guess)


def _matthews(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The multiclass correlation R_K of Gorodkin (2004), for two labels Matthews' own."""
    total = weights.sum(axis=1, keepdims=True)
    correct = weights @ (predicted == labels[:, None])
    cross, guesses, truths = np.zeros_like(correct), np.zeros_like(correct), np.zeros_like(total)
    for label in np.union1d(labels, predicted):
        true = weights @ (labels == label)[:, None]  # (S, 1)
        guessed = weights @ (predicted == label)  # (S, M)
        cross += true * guessed
        guesses += guessed**2
        truths += true**2
    return _ratio(correct * total - cross, np.sqrt((total**2 - guesses) * (total**2 - truths)))


def _pearson(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    x, y = labels[:, None] - labels.mean(), predicted - predicted.mean(axis=0)  # (N, 1), (N, M)
    mean_x, mean_y = weights @ x / total, weights @ y / total
    covariance = weights @ (x * y) / total - mean_x * mean_y
    variances = (weights @ x**2 / total - mean_x**2) * (weights @ y**2 / total - mean_y**2)
    return _ratio(covariance, np.sqrt(np.maximum(variances, 0.0)))


def _spearman(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    x = _ranks(weights, labels)
    spread = (weights * x**2).sum(axis=1)
    scores = []
    for column in predicted.T:
        y = _ranks(weights, column)
        scores.append(_ratio((weights * x * y).sum(axis=1), np.sqrt(spread * (weights * y**2).sum(axis=1))))
    return np.stack(scores, axis=1)


def _ranks(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each value's rank within each resample, ties at their mean, less the mean of all ranks: (S, N)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])  # (N,) where a group of ties begins
    counts = np.add.reduceat(weights[:, order], np.flatnonzero(first), axis=1)  # (S, groups)
    middle = np.cumsum(counts, axis=1) - (counts - 1) / 2 - (weights.sum(axis=1, keepdims=True) + 1) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = middle[:, np.cumsum(first) - 1]
    return ranks


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; 0 where it is undefined, as in `training.metrics`."""
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, 0.0)


SCORERS: dict[str, Scorer] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
