"""Candidates for the words of a text from a masked language model, as in TinyBERT's public code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.augmentation.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS = 2048  # of one forward pass, whose logits are tokens x vocabulary


class MaskedLM:
    """Guesses of words that fit in the place of a word.

    The model reads the text with the word masked, followed by the whole text as a second segment, so that guesses stay
    near the word's meaning; every word is masked alone. That is the authors' code; the paper's Algorithm 1 shows the
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
        encoded = tokenizer(
            text, text, truncation="longest_first", max_length=self._longest, return_offsets_mapping=True
        )
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
