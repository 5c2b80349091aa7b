"""TinyBERT's word replacement.

Jiao et al.: TinyBERT: Distilling BERT for Natural Language Understanding, 2020, Algorithm 1: each word x_i is replaced
with probability p_t (0.4) by one of K (15) candidates, drawn uniformly. Candidates of a single-piece word are a masked
language model's most probable words in its place; those of other words are the nearest in an embedding space.

Where this differs from the paper and the authors' code:
- the embedding space is the model's own input embeddings rather than GloVe's; without a masked-LM head (a fine-tuned
  teacher has none) all candidates come from it;
- the K candidates are whole words other than the word itself; the code takes the K likeliest pieces, then drops
  continuations, and may draw the word itself;
- text that is not replaced keeps its case, spaces and punctuation; the code joins lower-cased tokens by spaces.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from distilgrid.augmentation.augmenter import Surroundings
from distilgrid.augmentation.neighbours import Neighbours
from distilgrid.augmentation.word_replacement.declare import WordReplacement
from distilgrid.augmentation.word_replacement.masked_lm import MaskedLM
from distilgrid.augmentation.words import Words, in_case_of, is_content
from distilgrid.core.progress import progress
from distilgrid.training.placement import choose_device

Drawn = list[tuple[int, float]]


class WordReplacementAugmenter:
    """Replaces words by words that fit in their place. A new text depends on its text and seed alone."""

    def __init__(self, settings: WordReplacement, surroundings: Surroundings) -> None:
        self.settings = settings
        self.neighbours, encoder = Neighbours.read(settings, surroundings, masked_lm=settings.masked_lm == "auto")
        self.masked_lm: MaskedLM | None = None
        if encoder.masked_lm is not None and encoder.tokenizer.is_fast:
            model = encoder.masked_lm.to(choose_device(surroundings.device))
            self.masked_lm = MaskedLM(model, self.neighbours.vocabulary, count=settings.candidates)

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One new text for each text; copies of a text share its candidates."""
        rewritten = list(texts)
        copies: dict[str, list[int]] = defaultdict(list)
        for index, text in enumerate(texts):
            copies[text].append(index)
        if self.masked_lm is None:
            self._look_up_together(texts, seeds)
        for text, indices in progress(copies.items(), total=len(copies), label="replacing words"):
            words = Words.of(text)
            drawn = {index: self._draw(words, seeds[index]) for index in indices}
            candidates = self._candidates(text, words) if any(drawn.values()) else {}
            for index in indices:
                rewritten[index] = self._replaced(words, drawn[index], candidates)
        return rewritten

    def _replaceable(self, words: Words) -> list[int]:
        kept = not self.settings.skip_stop_words
        return [place for place, word in enumerate(words.words) if is_content(word, stop_words=kept)]

    def _draw(self, words: Words, seed: int) -> Drawn:
        """Places to replace, each with a number in [0, 1) that picks its candidate."""
        places = self._replaceable(words)
        chances = np.random.default_rng(seed).random((len(places), 2))
        return [
            (place, float(pick))
            for place, (chance, pick) in zip(places, chances, strict=True)
            if chance < self.settings.probability
        ]

    def _look_up_together(self, texts: Sequence[str], seeds: Sequence[int]) -> None:
        needed: set[str] = set()
        for text, seed in zip(texts, seeds, strict=True):
            words = Words.of(text)
            needed.update(words.words[place] for place, _ in self._draw(words, seed))
        self.neighbours.prepare(needed)

    def _candidates(self, text: str, words: Words) -> dict[int, tuple[str, ...]]:
        """Candidates of the masked LM for the replaceable words of a text; places without candidates are left out."""
        if self.masked_lm is None:
            return {}
        places = self._replaceable(words)
        guesses = self.masked_lm.candidates(text, [(words.starts[place], words.words[place]) for place in places])
        return {place: guess for place, guess in zip(places, guesses, strict=True) if guess is not None}

    def _replaced(self, words: Words, drawn: Drawn, candidates: dict[int, tuple[str, ...]]) -> str:
        new = list(words.words)
        for place, pick in drawn:
            word = words.words[place]
            fitting = candidates[place] if place in candidates else self.neighbours.of(word)
            if fitting:
                new[place] = in_case_of(word, fitting[int(pick * len(fitting))])
        return Words(new, words.gaps, words.starts).text()
