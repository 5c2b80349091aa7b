"""Metrics as GLUE defines them (Wang et al. 2018). Needs scikit-learn and scipy, not torch."""

from collections.abc import Sequence

import numpy as np


def predictions(logits: np.ndarray) -> np.ndarray:
    """Predicted labels (N,) from logits (N, C); with one column, the real-valued prediction itself."""
    return logits[:, 0] if logits.shape[1] == 1 else logits.argmax(axis=1)


def score(metrics: Sequence[str], *, labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Each metric's value, between -1 and 1.

    Args:
        metrics: names among accuracy, f1 (label 1 is positive), matthews, pearson, spearman.
        labels: (N,) label numbers, or real numbers for a regression.
        logits: (N, C).
    """
    predicted = predictions(logits)
    return {name: score_one(name, labels, predicted) for name in metrics}


def score_one(name: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    """One metric from labels and predicted labels, both (N,). Undefined correlations count as 0."""
    if name in ("pearson", "spearman"):
        return _correlation(name, labels, predicted)
    from sklearn import metrics as sk

    if name == "accuracy":
        return float(sk.accuracy_score(labels, predicted))
    if name == "f1":
        return float(sk.f1_score(labels, predicted, zero_division=0))
    return float(sk.matthews_corrcoef(labels, predicted))


def _correlation(name: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    from scipy import stats

    if np.ptp(labels) == 0 or np.ptp(predicted) == 0:
        return 0.0  # a constant has no correlation; a model that predicts one has learned nothing
    test = stats.pearsonr if name == "pearson" else stats.spearmanr
    return float(test(labels, predicted).statistic)
