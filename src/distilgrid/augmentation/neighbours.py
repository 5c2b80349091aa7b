"""Nearest words in a model's input-embedding space, in place of GloVe and WordNet, which need a download."""

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from distilgrid.augmentation.augmenter import Surroundings
from distilgrid.augmentation.base import EmbeddingBased
from distilgrid.augmentation.encoder import Encoder, encoder_folder, load_encoder
from distilgrid.augmentation.vocabulary import Vocabulary

BLOCK = 64  # words in one matrix product
DECIMALS = 12  # of cosines, so that equal embeddings give equal cosines in every block


class Neighbours:
    """The nearest whole words by cosine, looked up once for each distinct word.

    A word of several pieces is the mean of their embeddings. Sums are in fp64, so that a word's neighbours do not
    depend on which other words are looked up with it.

    `embeddings` (V, H) have a row for each piece of the vocabulary. A word has at most `count` neighbours, whose cosine
    is `min_similarity` or more.
    """

    def __init__(self, vocabulary: Vocabulary, embeddings: Tensor, *, count: int, min_similarity: float) -> None:
        self.vocabulary = vocabulary
        self.embeddings = embeddings.float().cpu().numpy()
        self.count, self.min_similarity = count, min_similarity
        self._table = _normalised(self.embeddings[vocabulary.ids].astype(np.float64))  # (W, H)
        self._found: dict[str, tuple[str, ...]] = {}

    @classmethod
    def read(
        cls, settings: EmbeddingBased, surroundings: Surroundings, *, masked_lm: bool = False
    ) -> "tuple[Neighbours, Encoder]":
        """The neighbours that an augmentation's settings describe, and the model that they come from."""
        folder = encoder_folder(settings.source, surroundings, kind=settings.kind)
        encoder = load_encoder(folder, masked_lm=masked_lm)
        vocabulary = Vocabulary(encoder.tokenizer, size=len(encoder.embeddings))
        count, least = settings.candidates, settings.min_similarity
        return cls(vocabulary, encoder.embeddings, count=count, min_similarity=least), encoder

    def of(self, word: str) -> tuple[str, ...]:
        """Neighbours of a word, nearest first: never the word itself, a special token or a continuation piece."""
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
    """Places of the largest values, largest first; ties keep their order."""
    places = np.flatnonzero(row >= np.partition(row, -count)[-count]) if count < len(row) else np.arange(len(row))
    largest: np.ndarray = places[np.argsort(-row[places], kind="stable")][:count]
    return largest


def _normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay zero, so nothing is near them."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
