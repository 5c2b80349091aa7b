"""The paired bootstrap: weighted metrics against a naive loop over drawn rows, and intervals against theory."""

import numpy as np
import pytest

from distilgrid.reporting import intervals as bootstrap
from distilgrid.reporting.intervals import resampled_scores, weighted_scores
from distilgrid.tasks.kind import find_metric

ROWS = 60


def binary(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = generator.integers(2, size=ROWS)
    flips = generator.random((ROWS, 3)) < 0.25
    return labels, np.where(flips, 1 - labels[:, None], labels[:, None])


def three_labels(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = generator.integers(3, size=ROWS)
    other = generator.integers(3, size=(ROWS, 3))
    return labels, np.where(generator.random((ROWS, 3)) < 0.4, other, labels[:, None])


def rare_label(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A label that many resamples miss, a model that never predicts it, and one that predicts nothing else."""
    labels = np.zeros(ROWS, dtype=int)
    labels[0] = 1
    return labels, np.stack([labels, np.zeros_like(labels), np.ones_like(labels)], axis=1)


def real_numbers(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Similarities with many ties, as in STS-B, and one model that predicts a constant."""
    labels = generator.integers(0, 11, size=ROWS) / 2
    predicted = labels[:, None] + generator.normal(size=(ROWS, 3)) + 100
    predicted[:, 1] = predicted[:, 1].round()
    predicted[:, 2] = 2.5
    return labels, predicted


@pytest.mark.filterwarnings("ignore:A single label")  # scikit-learn, about resamples without the rare label
@pytest.mark.parametrize(
    ("metric", "data"),
    [
        ("accuracy", three_labels),
        ("f1", binary),
        ("f1", rare_label),
        ("matthews", binary),
        ("matthews", three_labels),
        ("matthews", rare_label),
        ("pearson", real_numbers),
        ("spearman", real_numbers),
    ],
)
def test_weights_score_as_a_loop_over_the_drawn_rows_does(metric: str, data) -> None:
    generator = np.random.default_rng(7)
    labels, predicted = data(generator)
    drawn = generator.integers(ROWS, size=(25, ROWS))
    naive = [[find_metric(metric).value(labels[rows], column[rows]) for column in predicted.T] for rows in drawn]
    weights = np.stack([np.bincount(rows, minlength=ROWS) for rows in drawn]).astype(float)
    assert weighted_scores(metric, weights, labels, predicted) == pytest.approx(np.array(naive), abs=1e-10)


def test_one_weight_per_row_gives_the_plain_score() -> None:
    labels, predicted = real_numbers(np.random.default_rng(3))
    plain = [find_metric("spearman").value(labels, column) for column in predicted.T]
    assert weighted_scores("spearman", np.ones((1, ROWS)), labels, predicted)[0] == pytest.approx(plain)


def test_all_models_are_scored_on_the_same_rows() -> None:
    labels, predicted = binary(np.random.default_rng(1))
    twice = np.concatenate([predicted, predicted], axis=1)
    scores = resampled_scores("f1", labels=labels, predicted=twice, samples=50, seed=0)
    assert scores.shape == (50, 6)
    assert (scores[:, :3] == scores[:, 3:]).all()
    assert len(np.unique(scores[:, 0])) > 10


def test_the_seed_alone_decides_the_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predicted = three_labels(np.random.default_rng(1))

    def run(seed: int) -> np.ndarray:
        return resampled_scores("accuracy", labels=labels, predicted=predicted, samples=40, seed=seed)

    first, other = run(0), run(1)
    monkeypatch.setattr(bootstrap, "BLOCK", 7 * ROWS)
    assert (run(0) == first).all(), "the size of a block must not matter"
    assert (other != first).any()


def test_intervals_of_paired_differences_have_the_width_that_theory_gives() -> None:
    """The difference of two accuracies is a mean of N terms in {-1, 0, 1}: its error is normal for a large N."""
    generator, rows = np.random.default_rng(5), 4000
    labels = np.zeros(rows, dtype=int)
    hard = generator.random(rows) < 0.2  # rows that both models fail on: they must not widen the interval
    predicted = np.stack([hard | (generator.random(rows) < p) for p in (0.03, 0.05)], axis=1).astype(int)
    right = predicted == 0
    terms = right[:, 0].astype(float) - right[:, 1]
    scores = resampled_scores("accuracy", labels=labels, predicted=predicted, samples=3000, seed=0)
    low, high = np.percentile(scores[:, 0] - scores[:, 1], [2.5, 97.5])
    margin = 1.96 * terms.std() / np.sqrt(rows)
    assert (low, high) == pytest.approx((terms.mean() - margin, terms.mean() + margin), abs=0.1 * margin)
    unpaired = 1.96 * np.sqrt(right.var(axis=0).sum() / rows)
    assert high - low < unpaired, "half the width at most when models fail on the same rows"
