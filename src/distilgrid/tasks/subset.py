"""Seeded, stratified subsets of rows, decided by content: the same rows whatever their order, and nested in size."""

import hashlib

import numpy as np


def stratified_sample(ids: np.ndarray, labels: np.ndarray | None, *, count: int, seed: int, purpose: str) -> np.ndarray:
    """A boolean mask (N,) of about `count` rows that keeps the shares of the labels.

    Rows are ranked by a hash of (seed, purpose, example id), so a smaller sample is part of a larger one, and rows with equal
    texts are always on the same side.

    Args:
        ids: (N,) example ids.
        labels: (N,) label numbers, or None for one stratum (regression).
        count: rows wanted; every label keeps at least one.
        seed: seed of the choice.
        purpose: names the choice, so that `dev` and a training subset are independent of each other.
    """
    ranks = np.array([_rank(seed, purpose, int(i)) for i in ids], dtype=np.uint64)
    strata = np.zeros(len(ids), dtype=np.int64) if labels is None else labels
    chosen: set[int] = set()
    for stratum, quota in _quotas(strata, count).items():
        members = np.flatnonzero(strata == stratum)
        chosen |= set(ranks[members[np.argsort(ranks[members], kind="stable")[:quota]]].tolist())
    return np.array([rank in chosen for rank in ranks.tolist()], dtype=bool)


def _quotas(strata: np.ndarray, count: int) -> dict[int, int]:
    """Rows per stratum by largest remainders, at least one each."""
    values, sizes = np.unique(strata, return_counts=True)
    exact = sizes * min(count, len(strata)) / len(strata)
    quotas = np.floor(exact).astype(int)
    for i in np.argsort(-(exact - quotas), kind="stable")[: min(count, len(strata)) - quotas.sum()]:
        quotas[i] += 1
    return {int(v): int(max(1, q)) for v, q in zip(values, quotas, strict=True)}


def _rank(seed: int, purpose: str, example_id: int) -> int:
    digest = hashlib.sha256(f"{seed}/{purpose}/{example_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
