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
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.augmentation.base import Surroundings
from distilgrid.augmentation.neighbours import Neighbours, Vocabulary
from distilgrid.augmentation.word_replacement.declare import WordReplacement
from distilgrid.augmentation.words import Words, in_case_of, is_content
from distilgrid.core.progress import progress
from distilgrid.tasks.long_texts import cut_rows
from distilgrid.training.placement import choose_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS = 2048  # of one forward pass of the masked LM, whose logits are tokens x vocabulary
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


class MaskedLM:
    """Guesses of words that fit in the place of a word.

    The model reads the text with the word masked, followed by the whole text as a second segment, so that guesses stay
    near the word's meaning. Every word is masked alone. That is the authors' code; the paper's Algorithm 1 shows the
    words replaced so far instead. A forward pass holds one text, so a text's candidates depend on no other text. The
    tokeniser must know offsets.
    """

    def __init__(self, model: "PreTrainedModel", vocabulary: Vocabulary, *, count: int) -> None:
        self.model, self.vocabulary = model, vocabulary
        self.count = min(count, len(vocabulary.forms))
        self._ids = torch.from_numpy(vocabulary.ids)
        self._longest = _positions(model, vocabulary)

    @torch.inference_mode()
    def candidates(self, text: str, words: Sequence[tuple[int, str]]) -> list[tuple[str, ...] | None]:
        """Candidates for each word, given as (start in the text, word); None for one of several pieces or cut off."""
        tokenizer = self.vocabulary.tokenizer
        (cut,), _ = cut_rows(tokenizer, [text], [text], longest=self._longest)
        encoded = tokenizer(cut, cut, truncation="longest_first", max_length=self._longest, return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")
        first = [place for place, part in enumerate(encoded.sequence_ids()) if part == 0]
        places = [_single_piece(offsets, first, start, start + len(word)) for start, word in words]
        asked = [(place, word) for place, (_, word) in zip(places, words, strict=True) if place is not None]
        inputs = {name: torch.tensor(values) for name, values in encoded.items()}
        guesses = iter(self._guess(inputs, asked))
        return [None if place is None else next(guesses) for place in places]

    def _guess(self, inputs: dict[str, Tensor], asked: list[tuple[int, str]]) -> list[tuple[str, ...]]:
        """Candidates of (place, word) pairs of one text whose inputs are (L,)."""
        rows = max(1, TOKENS // len(inputs["input_ids"]))
        guesses = []
        for start in range(0, len(asked), rows):
            part = asked[start : start + rows]
            scores = self._scores(inputs, [place for place, _ in part])
            for (place, word), row in zip(part, scores, strict=True):
                row[self.vocabulary.own_rows(word, [int(inputs["input_ids"][place])])] = -torch.inf
                best = row.topk(self.count)
                kept = best.indices[best.values.isfinite()].tolist()
                guesses.append(tuple(self.vocabulary.forms[index] for index in kept))
        return guesses

    def _scores(self, inputs: dict[str, Tensor], places: list[int]) -> Tensor:
        """(B, W) logits of the whole words, at one masked place in each copy of the text."""
        batch = {name: values.repeat(len(places), 1) for name, values in inputs.items()}
        rows = torch.arange(len(places))
        batch["input_ids"][rows, places] = int(self.vocabulary.tokenizer.mask_token_id)
        device = self.model.device
        logits: Tensor = self.model(**{name: values.to(device) for name, values in batch.items()}).logits
        return logits[rows, places].float().cpu()[:, self._ids]


def _single_piece(offsets: Sequence[tuple[int, int]], places: Sequence[int], start: int, end: int) -> int | None:
    """Place of the only piece that overlaps characters [start, end); None where none or several do."""
    found = [place for place in places if offsets[place][0] < end and offsets[place][1] > start]
    return found[0] if len(found) == 1 and offsets[found[0]][1] >= end else None


def _positions(model: "PreTrainedModel", vocabulary: Vocabulary) -> int:
    """Longest input of the model in tokens; RoBERTa's positions start after the padding's id."""
    known = int(getattr(model.config, "max_position_embeddings", 512))
    if "roberta" in model.config.model_type:
        known -= int(model.config.pad_token_id or 0) + 1
    return min(known, int(vocabulary.tokenizer.model_max_length))
