"""Metrics against formulas written out here, and scores that training must not trip over."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from distilgrid.tasks.kind import find_metric, score
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.kinds.number.declare import KIND as NUMBER

Pair = tuple[list[float], list[float]]


def accuracy(truth: list[float], guess: list[float]) -> float:
    return sum(t == g for t, g in zip(truth, guess, strict=True)) / len(truth)


def f1(truth: list[float], guess: list[float]) -> float:
    both = sum(t == g == 1 for t, g in zip(truth, guess, strict=True))
    found, there = guess.count(1), truth.count(1)
    precision, recall = (both / found if found else 0.0), (both / there if there else 0.0)
    return 2 * precision * recall / (precision + recall) if both else 0.0


def matthews(truth: list[float], guess: list[float]) -> float:
    """Gorodkin's R_K, which is Matthews' coefficient for two classes."""
    classes, n = sorted({*truth, *guess}), len(truth)
    right = sum(t == g for t, g in zip(truth, guess, strict=True))
    t, p = ([values.count(c) for c in classes] for values in (truth, guess))
    above = right * n - sum(a * b for a, b in zip(t, p, strict=True))
    below = math.sqrt(n**2 - sum(b * b for b in p)) * math.sqrt(n**2 - sum(a * a for a in t))
    return above / below if below else 0.0


def pearson(truth: list[float], guess: list[float]) -> float:
    a, b = sum(truth) / len(truth), sum(guess) / len(guess)
    covariance = sum((t - a) * (g - b) for t, g in zip(truth, guess, strict=True))
    return covariance / math.sqrt(sum((t - a) ** 2 for t in truth) * sum((g - b) ** 2 for g in guess))


def ranks(values: list[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of their ranks."""
    return [sum(other < v for other in values) + (sum(other == v for other in values) + 1) / 2 for v in values]


def spearman(truth: list[float], guess: list[float]) -> float:
    return pearson(ranks(truth), ranks(guess))


def classes(count: int, seed: int) -> Pair:
    chooser = np.random.default_rng(seed)
    truth = chooser.integers(0, count, size=60)
    guess = np.where(chooser.random(60) < 0.6, truth, chooser.integers(0, count, size=60))
    return truth.tolist(), guess.tolist()


def numbers(seed: int) -> Pair:
    chooser = np.random.default_rng(seed)
    truth = np.round(chooser.random(40) * 5, 1)  # ties occur, as in STS-B
    return truth.tolist(), np.round(truth + chooser.normal(size=40), 1).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "formula", "rows"),
    [
        ("accuracy", accuracy, lambda seed: classes(4, seed)),
        ("f1", f1, lambda seed: classes(2, seed)),
        ("matthews", matthews, lambda seed: classes(2, seed)),
        ("matthews", matthews, lambda seed: classes(3, seed)),
        ("pearson", pearson, numbers),
        ("spearman", spearman, numbers),
    ],
)
def test_a_metric_is_its_formula(
    name: str, formula: Callable[[list[float], list[float]], float], rows: Callable[[int], Pair], seed: int
) -> None:
    truth, guess = rows(seed)
    value = find_metric(name).value(np.array(truth), np.array(guess))
    assert isinstance(value, float)
    assert value == pytest.approx(formula(truth, guess), abs=1e-12)
    assert 0.0 < value < 1.0


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews", "pearson", "spearman"])
def test_a_perfect_prediction_scores_one(name: str) -> None:
    truth = np.array([0, 1, 1, 0, 1])
    assert find_metric(name).value(truth, truth) == pytest.approx(1.0)


def test_f1_counts_label_one_as_positive() -> None:
    truth, guess = np.array([1, 0, 0, 0]), np.array([1, 1, 0, 0])
    assert find_metric("f1").value(truth, guess) == pytest.approx(2 / 3)
    assert find_metric("f1").value(1 - truth, 1 - guess) == pytest.approx(4 / 5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["f1", "matthews", "pearson", "spearman"])
def test_a_constant_prediction_scores_zero(name: str) -> None:
    assert find_metric(name).value(np.array([0, 1, 1, 0]), np.array([0, 0, 0, 0])) == 0.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_correlation_with_constant_labels_is_zero(name: str) -> None:
    assert find_metric(name).value(np.array([2.0, 2.0, 2.0]), np.array([0.1, 0.5, 0.2])) == 0.0


def test_predictions_are_the_largest_logit_or_the_number_itself() -> None:
    logits = np.array([[0.1, 2.0, -1.0], [3.0, 0.0, 2.9]])
    assert LABEL.predict().decode(logits).tolist() == [1, 0]
    assert NUMBER.predict().decode(np.array([[0.3], [-7.5]])).tolist() == [0.3, -7.5]


def test_scores_come_by_name_in_the_tasks_order() -> None:
    truth, guess = classes(2, 0)
    logits = np.eye(2)[np.array(guess, dtype=int)]
    found = score(LABEL, ["f1", "accuracy"], labels=np.array(truth), outputs=logits)
    assert list(found) == ["f1", "accuracy"]
    assert found["accuracy"] == pytest.approx(accuracy(truth, guess))
    targets, values = numbers(1)
    outputs = np.array(values, dtype=np.float32)[:, None]
    found = score(NUMBER, ["pearson"], labels=np.array(targets), outputs=outputs)
    assert found["pearson"] == pytest.approx(pearson(targets, values), abs=1e-6)
