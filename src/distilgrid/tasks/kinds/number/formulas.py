"""Pearson's and Spearman's correlations. A constant has none and scores 0: a model that predicts one knows nothing.

Spearman's correlation needs the ranks of a whole resample, so its statistics are the rows.
"""

import numpy as np

from distilgrid.tasks.kinds.label.formulas import ratio


def moments(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 6): 1, x, y, x * y, x^2 and y^2, of labels x and predictions y about their means."""
    x, y = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (labels, predicted))
    return np.stack([np.ones(len(x)), x, y, x * y, x**2, y**2], axis=1)


def pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation from summed moments."""
    x, y, xy, xx, yy = np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0)
    variances = (xx - x**2) * (yy - y**2)
    return ratio(xy - x * y, np.sqrt(np.maximum(variances, 0.0)))


def direct_pearson(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation from the rows."""
    from scipy import stats

    return 0.0 if _constant(labels, predicted) else float(stats.pearsonr(labels, predicted).statistic)


def pairs(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 2): label and prediction."""
    return np.stack([labels, predicted], axis=1)


def spearman(rows: np.ndarray) -> np.ndarray:
    """Rank correlation of labels and predictions (N, 2)."""
    from scipy import stats

    labels, predicted = rows.T
    return np.asarray(0.0 if _constant(labels, predicted) else stats.spearmanr(labels, predicted).statistic)


def weighted_spearman(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rank correlation of each resample (S,), from weights (S, N) and rows (N, 2)."""
    x, y = _ranks(weights, rows[:, 0]), _ranks(weights, rows[:, 1])
    spreads = (weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1)
    return ratio((weights * x * y).sum(axis=1), np.sqrt(spreads))


def _ranks(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rank of each value within each resample, ties at their mean, minus the mean of all ranks: (S, N)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])  # (N,) where a group of ties begins
    counts = np.add.reduceat(weights[:, order], np.flatnonzero(first), axis=1)  # (S, groups)
    middle = np.cumsum(counts, axis=1) - (counts - 1) / 2 - (weights.sum(axis=1, keepdims=True) + 1) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = middle[:, np.cumsum(first) - 1]
    return ranks


def _constant(*columns: np.ndarray) -> bool:
    return any(np.ptp(column) == 0 for column in columns)
