"""Texts that are alike: equal apart from case, space, punctuation and order, or nearly equal. Light: imports on use.

Two rows are near when the Jaccard index of their shingles, which are words and pairs of adjacent words, reaches a
threshold. The search is exact. An inverted index proposes pairs that share one of their rarest shingles (prefix filter:
Chaudhuri, Ganti, Kaushik: A Primitive Operator for Similarity Joins in Data Cleaning, ICDE 2006).
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, pairwise
from typing import TYPE_CHECKING, Any

from distilgrid.tasks.dataset import SEPARATOR, TEXT_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NEAR = 0.7
"""Jaccard index from which rows are near: texts of ten words that differ in one inner word have 0.73."""
CHUNK = 2000  # rows whose pairs are held in memory at once
ROUNDING = 1e-9


def normalised(text: str) -> str:
    """A text in NFKC without case, punctuation and repeated space; a text of punctuation alone as it is.

    >>> normalised("  A man's  Guitar, played. ")
    'a man s guitar played'
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_spaces())
    return " ".join(plain.split()) or text


@cache
def _spaces() -> dict[int, str]:
    """Every punctuation mark as a space."""
    import sys

    return {code: " " for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("P")}


def row_texts(frame: "pd.DataFrame") -> list[str]:
    """Normalised texts of rows, joined; those of a pair in the order of the alphabet. Example ids of other rows."""
    if not has_texts(frame):
        return [str(number) for number in frame["example_id"]]
    columns = [[normalised(text) for text in frame[name]] for name in TEXT_COLUMNS if name in frame.columns]
    return [SEPARATOR.join(sorted(row)) for row in zip(*columns, strict=True)]


def has_texts(frame: "pd.DataFrame") -> bool:
    """Whether rows are texts, which may be near each other; images are equal or not."""
    return any(name in frame.columns for name in TEXT_COLUMNS)


@dataclass(frozen=True)
class Likeness:
    """How rows are like known rows."""

    equal: "np.ndarray"  # (N,) bool: normalised texts are those of a known row
    near: "np.ndarray"  # (N,) bool: shingles are nearly those of a known row, and texts are not equal

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of rows of both sorts."""
        return {"equal": int(self.equal.sum()), "near": int(self.near.sum())}


def likeness(rows: Sequence[str], known: Sequence[str], *, threshold: float = NEAR) -> Likeness:
    """Compare rows with known rows, both as `row_texts` makes them."""
    import numpy as np

    owned = set(known)
    equal = np.array([row in owned for row in rows], dtype=bool)
    near = np.zeros(len(rows), dtype=bool)
    if not equal.all() and owned:
        near[~equal] = _near(list(compress(rows, ~equal)), sorted(owned), threshold)
    return Likeness(equal, near)


def alike(
    splits: "Mapping[str, pd.DataFrame]", *, validation: Sequence[str], left_out: Mapping[str, int]
) -> dict[str, Any]:
    """Rows that the splits of a data set share, for `dataset.json`.

    Args:
        splits: the finished splits.
        validation: names of those that are reported on.
        left_out: numbers of rows left out of `train` and `dev`, because their texts are those of validation rows.

    Returns:
        `left_out`, and for `train` and `dev`, by other split, how many of its rows are `equal` to one there, or `near`
        where rows are texts.
    """
    texts = {name: row_texts(frame) for name, frame in splits.items()}
    count = _both_sorts if has_texts(splits["train"]) else _equal
    others = {"train": ["dev", *validation], "dev": validation}
    found = {place: {name: count(texts[name], texts[place]) for name in names} for place, names in others.items()}
    return {"left_out": dict(left_out), **found}


def _both_sorts(rows: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    return likeness(rows, known).counts


def _equal(rows: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    owned = set(known)
    return {"equal": sum(row in owned for row in rows)}


def shingles(row: str) -> list[str]:
    """Words, and pairs of adjacent words of one text."""
    texts = [text.split() for text in row.split(SEPARATOR)]
    return [part for words in texts for part in (*words, *map(" ".join, pairwise(words)))]


def _near(rows: list[str], known: list[str], threshold: float) -> "np.ndarray":
    """(N,) whether the Jaccard index with any known row reaches the threshold."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    found = CountVectorizer(analyzer=shingles, binary=True, dtype=np.int32).fit_transform([*rows, *known]).tocsr()
    rarest = np.argsort(np.argsort(np.bincount(found.indices, minlength=found.shape[1]), kind="stable"))
    found.indices = rarest[found.indices].astype(found.indices.dtype)  # the rarest shingle is number 0
    found.has_sorted_indices = False
    found.sort_indices()
    own, theirs, prefixes = found[: len(rows)], found[len(rows) :], _prefixes(found, threshold)
    index = prefixes[len(rows) :].T.tocsr()
    sizes = np.diff(found.indptr)
    alike = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), CHUNK):
        pairs = (prefixes[start : min(start + CHUNK, len(rows))] @ index).tocoo()
        first, second = pairs.row + start, pairs.col
        shared = np.asarray(own[first].multiply(theirs[second]).sum(axis=1)).ravel()
        union = sizes[first] + sizes[len(rows) + second] - shared
        alike[first[shared >= threshold * union - ROUNDING]] = True
    return alike


def _prefixes(rows: Any, threshold: float) -> Any:
    """The rarest shingles of each row, of which two near rows share one; `rows` is a sorted CSR matrix."""
    import numpy as np
    from scipy.sparse import csr_matrix

    sizes = np.diff(rows.indptr)
    kept = sizes - np.ceil(threshold * sizes - ROUNDING).astype(np.int64) + 1
    place = np.arange(len(rows.indices)) - np.repeat(rows.indptr[:-1], sizes)  # within the row
    inside = place < np.repeat(kept, sizes)
    ends = np.concatenate([[0], np.cumsum(np.minimum(kept, sizes))])
    return csr_matrix((rows.data[inside], rows.indices[inside], ends), shape=rows.shape)
