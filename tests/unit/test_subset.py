"""Subsets of rows: nested, stratified, independent of each other, and decided by content."""

import numpy as np
import pytest

from distilgrid.tasks.dataset import example_ids, stratified_sample


@pytest.fixture
def ids() -> np.ndarray:
    return np.array(example_ids([[f"text {i}" for i in range(1000)]]), dtype=np.int64)


@pytest.mark.parametrize("labelled", [True, False])
def test_smaller_samples_are_part_of_larger_ones(ids: np.ndarray, labelled: bool) -> None:
    labels = np.array([0] * 610 + [1] * 213 + [2] * 150 + [3] * 27) if labelled else None
    smaller = np.zeros(len(ids), dtype=bool)
    for count in [*range(1, 200), 500, 999, 1000]:
        larger = stratified_sample(ids, labels, count=count, seed=0, purpose="fraction")
        assert not (smaller & ~larger).any(), count
        assert abs(larger.sum() - count) <= 3
        smaller = larger
    assert smaller.all()


def test_samples_keep_the_shares(ids: np.ndarray) -> None:
    labels = np.array([0] * 610 + [1] * 213 + [2] * 150 + [3] * 27)
    for count in (50, 100, 500):
        taken = np.bincount(labels[stratified_sample(ids, labels, count=count, seed=1, purpose="x")])
        assert taken == pytest.approx(np.array([610, 213, 150, 27]) * count / 1000, abs=1)


def test_samples_of_different_purposes_and_seeds_are_independent(ids: np.ndarray) -> None:
    def sample(purpose: str, seed: int) -> np.ndarray:
        return stratified_sample(ids, None, count=500, seed=seed, purpose=purpose)

    base = sample("dev", 0)
    assert (base == sample("dev", 0)).all()
    for other in (sample("fraction", 0), sample("dev", 1)):
        assert 0.4 < (base == other).mean() < 0.6


def test_an_example_id_is_that_of_the_texts_alone() -> None:
    single = example_ids([["a", "b", "a"]])
    assert single[0] == single[2] != single[1]
    assert example_ids([["a", "b"]]) == single[:2]
    assert example_ids([["a"], ["b"]]) != example_ids([["b"], ["a"]])
    assert example_ids([["ab"], ["c"]]) != example_ids([["a"], ["bc"]])
    assert all(-(2**63) <= value < 2**63 for value in single)
