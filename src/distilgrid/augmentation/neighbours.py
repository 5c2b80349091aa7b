"""Words near a word in a model's input-embedding space: what stands in for GloVe and WordNet without a download."""

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from distilgrid.augmentation.vocabulary import Vocabulary

BLOCK = 64  # words in one matrix product
DECIMALS = 12  # of cosines: equal embeddings stay equal, whatever block they were computed in


class Neighbours:
    """The nearest whole words by cosine, looked up once for each distinct word.

    A word of several pieces is the mean of their embeddings. Sums are in fp64, so that a word's neighbours do not
    depend on which other words are looked up with it.

    Args:
        vocabulary: of the model's tokeniser.
        embeddings: (V, H), a row for each piece.
        count: neighbours kept of each word.
        min_similarity: the smallest cosine kept.
    """

    def __init__(self, vocabulary: Vocabulary, embeddings: Tensor, *, count: int, min_similarity: float) -> None:
        self.vocabulary = vocabulary
        self.embeddings = embeddings.float().cpu().numpy()
        self.count, self.min_similarity = count, min_similarity
        self._table = _normalised(self.embeddings[vocabulary.ids].astype(np.float64))  # (W, H)
        self._found: dict[str, tuple[str, ...]] = {}

    def of(self, word: str) -> tuple[str, ...]:
        """The neighbours of a word, nearest first: never the word itself, a special token or a continuation piece."""
        self.prepare([word])
        return self._found[word]

    def prepare(self, words: Iterable[str]) -> None:
        """Look up many words together, which is faster than one by one."""
        missing = sorted({word for word in words if word not in self._found})
        for start in range(0, len(missing), BLOCK):
            self._look_up(missing[start : start + BLOCK])

    def _look_up(self, words: list[str]) -> None:
        pieces = self.vocabulary.pieces(words)
        known = [(word, ids) for word, ids in zip(words, pieces, strict=True) if ids]
        self._found |= dict.fromkeys(words, ())
        if not known or not len(self._table):
            return
        means = np.stack([self.embeddings[ids].mean(axis=0, dtype=np.float64) for _, ids in known])  # (B, H)
        cosines = np.round(_normalised(means) @ self._table.T, DECIMALS)  # (B, W)
        for (word, ids), row in zip(known, cosines, strict=True):
            row[self.vocabulary.own_rows(word, ids)] = -np.inf
            near = [
                int(place)
                for place in _largest(row, self.count)
                if np.isfinite(row[place]) and row[place] >= self.min_similarity
            ]
            self._found[word] = tuple(self.vocabulary.forms[place] for place in near)


def _largest(row: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values, largest first; of equal ones those in front."""
    places = np.flatnonzero(row >= np.partition(row, -count)[-count]) if count < len(row) else np.arange(len(row))
    largest: np.ndarray = places[np.argsort(-row[places], kind="stable")][:count]
    return largest


def _normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay, and are near to nothing."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
