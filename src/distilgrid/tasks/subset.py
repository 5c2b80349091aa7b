"""Seeded, stratified subsets of rows, decided by content: independent of row order, and nested in size."""

import hashlib

import numpy as np


def stratified_sample(
    ids: np.ndarray, labels: np.ndarray | None, *, count: int, seed: int, purpose: str, held_out: bool = False
) -> np.ndarray:
    """A boolean mask (N,) of about `count` rows that keeps the shares of the labels (N,); without labels, one stratum.

    Rows rank by a hash of (seed, purpose, example id), so equal texts stay on one side, and purposes are independent.
    They take turns by their place within their label over the label's size: any first k turns keep the shares
    (Sainte-Lague), and a smaller sample is part of a larger one. With `held_out`, every label keeps a row behind;
    otherwise every label gives one.
    """
    ranks = np.array([_rank(seed, purpose, int(i)) for i in ids], dtype=np.uint64)
    strata = np.zeros(len(ids), dtype=np.int64) if labels is None else labels
    places, sizes = _places(strata, ranks)
    turns = np.lexsort((ranks, (places + 0.5) / sizes))
    chosen = np.zeros(len(ids), dtype=bool)
    if held_out:
        stays = np.isin(ranks, ranks[places == sizes - 1])
        chosen[turns[~stays[turns]][:count]] = True
    else:
        chosen[turns[:count]] = True
        chosen |= places == 0
    return np.isin(ranks, ranks[chosen])


def _places(strata: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each row within its stratum by rank, and the size of the stratum: both (N,)."""
    places, sizes = np.empty(len(strata), dtype=np.int64), np.empty(len(strata), dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        places[members[np.argsort(ranks[members], kind="stable")]] = np.arange(len(members))
        sizes[members] = len(members)
    return places, sizes


def _rank(seed: int, purpose: str, example_id: int) -> int:
    digest = hashlib.sha256(f"{seed}/{purpose}/{example_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
