"""Easy data augmentation (EDA).

Wei, Zou: EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks, 2019. Of a text
of l words, with n = max(1, int(alpha l)):

- synonym replacement: a synonym replaces each of n distinct content words (not stop words), wherever they stand;
- random insertion: n times, a synonym of a random content word goes to a random place;
- random swap: n times, two random words change places;
- random deletion: each word goes with probability alpha; at least one stays.

Choices, and differences from the paper:
- the public code makes int(N / 4) + 1 texts by each operation for N copies, shuffles them and keeps N. Here each copy
  draws its operation among those in use: the same chances for each copy, and no copy depends on another;
- synonyms are the nearest words in a model's input-embedding space, because WordNet needs a download;
- punctuation and case stay; the public code drops both.
"""

from collections.abc import Callable, Sequence

import numpy as np

from distilgrid.augmentation.base import Surroundings
from distilgrid.augmentation.eda.declare import EDA
from distilgrid.augmentation.neighbours import Neighbours
from distilgrid.augmentation.words import Words, in_case_of, is_content
from distilgrid.core.progress import progress

Synonyms = Callable[[str], Sequence[str]]
Operation = Callable[[Words, float, np.random.Generator, Synonyms], None]


def replace_synonyms(words: Words, alpha: float, chance: np.random.Generator, synonyms: Synonyms) -> None:
    """Replace n distinct content words that have synonyms; all places of a word get the same one."""
    written = {word.lower(): word for word in sorted(words.words, key=str.islower) if is_content(word)}
    chosen: dict[str, str] = {}
    for place in chance.permutation(len(written)):
        word, form = list(written.items())[place]
        if (found := synonyms(form)) and len(chosen) < _count(words, alpha):
            chosen[word] = _pick(found, chance)
    words.words = [in_case_of(word, chosen.get(word.lower(), word)) for word in words.words]


def insert_synonyms(words: Words, alpha: float, chance: np.random.Generator, synonyms: Synonyms) -> None:
    """Insert n synonyms of content words of the original text."""
    origins = [found for word in words.words if is_content(word) and (found := synonyms(word))]
    for _ in range(_count(words, alpha) if origins else 0):
        found = origins[int(chance.integers(len(origins)))]
        words.insert(int(chance.integers(len(words.words) + 1)), _pick(found, chance))


def swap_words(words: Words, alpha: float, chance: np.random.Generator, _: Synonyms) -> None:
    """Swap two random words, n times."""
    for _swap in range(_count(words, alpha) if len(words.words) > 1 else 0):
        one, other = chance.choice(len(words.words), size=2, replace=False)
        words.words[one], words.words[other] = words.words[other], words.words[one]


def delete_words(words: Words, alpha: float, chance: np.random.Generator, _: Synonyms) -> None:
    """Delete each word with probability alpha, but keep one word at least."""
    if len(words.words) < 2:
        return
    gone = chance.random(len(words.words)) < alpha
    if gone.all():
        gone[chance.integers(len(gone))] = False
    for place in np.flatnonzero(gone)[::-1]:
        words.delete(int(place))


OPERATIONS: dict[str, Operation] = {
    "synonym": replace_synonyms,
    "insert": insert_synonyms,
    "swap": swap_words,
    "delete": delete_words,
}


class EDAAugmenter:
    """Applies one random operation to each text. A new text depends on its text and seed alone."""

    def __init__(self, settings: EDA, surroundings: Surroundings) -> None:
        self.settings = settings
        alphas = {name: float(getattr(settings, name)) for name in OPERATIONS}
        self.used = [(OPERATIONS[name], alpha) for name, alpha in alphas.items() if alpha]
        self.neighbours: Neighbours | None = None
        if settings.needs_embeddings:
            self.neighbours, _ = Neighbours.read(settings, surroundings)

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One new text for each text."""
        if self.neighbours is not None:
            distinct = {word for text in set(texts) for word in Words.of(text).words if is_content(word)}
            self.neighbours.prepare(distinct)
        rows = progress(zip(texts, seeds, strict=True), total=len(texts), label="easy data augmentation")
        return [self._rewritten(text, seed) for text, seed in rows]

    def _rewritten(self, text: str, seed: int) -> str:
        words, chance = Words.of(text), np.random.default_rng(seed)
        operation, alpha = self.used[chance.integers(len(self.used))]
        if words.words:
            operation(words, alpha, chance, self._synonyms)
        return words.text()

    def _synonyms(self, word: str) -> Sequence[str]:
        return () if self.neighbours is None else self.neighbours.of(word)


def _pick(found: Sequence[str], chance: np.random.Generator) -> str:
    return found[int(chance.integers(len(found)))]


def _count(words: Words, alpha: float) -> int:
    """n of the paper."""
    return max(1, int(alpha * len(words.words)))
