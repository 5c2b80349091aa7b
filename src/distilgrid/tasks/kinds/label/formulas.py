"""Accuracy, F1 and Matthews' correlation as in GLUE (Wang et al. 2018), from sums over rows."""

import numpy as np


def hits(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 2): whether a row is right, and 1."""
    return np.stack([predicted == labels, np.ones(len(labels))], axis=1)


def accuracy(sums: np.ndarray) -> np.ndarray:
    """The share of right rows."""
    return ratio(sums[..., 0], sums[..., 1])


def positives(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 3): whether a row is a true positive, is positive, is predicted positive. Label 1 is the positive one."""
    truth, guess = labels == 1, predicted == 1
    return np.stack([truth & guess, truth, guess], axis=1).astype(np.float64)


def f1(sums: np.ndarray) -> np.ndarray:
    """2 TP / (positives + predicted positives)."""
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def confusion(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 2 + 2 C): `hits`, then the label and the predicted label, each one-hot."""
    known = np.arange(max(labels.max(initial=0), predicted.max(initial=0)) + 1)
    return np.concatenate([hits(labels, predicted), labels[:, None] == known, predicted[:, None] == known], axis=1)


def matthews(sums: np.ndarray) -> np.ndarray:
    """The multiclass correlation R_K of Gorodkin (2004), which equals Matthews' for two labels."""
    correct, total = sums[..., 0], sums[..., 1]
    truths, guesses = np.split(sums[..., 2:], 2, axis=-1)
    spreads = (total**2 - (guesses**2).sum(axis=-1)) * (total**2 - (truths**2).sum(axis=-1))
    return ratio(correct * total - (truths * guesses).sum(axis=-1), np.sqrt(spreads))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, 0 where it is undefined."""
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, 0.0)
