"""Whole words of a tokeniser's vocabulary, for WordPiece, byte-level BPE and SentencePiece."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Vocabulary:
    """Pieces that are whole words: two letters or more, no special tokens and no continuations.

    Attributes:
        ids: (W,) piece ids of the whole words, in order.
        forms: the W words as they are written.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *, size: int) -> None:
        self.tokenizer = tokenizer
        self.ids, self.forms = _whole_words(tokenizer, size)
        self._rows: dict[str, list[int]] = defaultdict(list)
        for row, form in enumerate(self.forms):
            self._rows[form.casefold()].append(row)
        self._row_of_id = {int(piece): row for row, piece in enumerate(self.ids)}

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """Piece ids of each word within a text; empty where a part is unknown to the tokeniser."""
        if not words:
            return []
        encoded: list[list[int]] = _encode(self.tokenizer, words)
        unknown = self.tokenizer.unk_token_id
        return [[] if unknown in pieces else pieces for pieces in encoded]

    def own_rows(self, word: str, pieces: Sequence[int]) -> list[int]:
        """Rows of `forms` that never substitute a word: the word itself in any case, and its pieces."""
        itself = self._rows.get(word.casefold(), [])
        return sorted({*itself, *(self._row_of_id[piece] for piece in pieces if piece in self._row_of_id)})


def _whole_words(tokenizer: "PreTrainedTokenizerBase", size: int) -> tuple[np.ndarray, list[str]]:
    special = set(tokenizer.all_special_ids)
    words = {}
    for token, number in tokenizer.get_vocab().items():
        form = tokenizer.convert_tokens_to_string([token]).strip()
        if number not in special and number < size and len(form) > 1 and form.isalpha():
            words[number] = form
    numbers = sorted(words)
    # A continuation such as RoBERTa's "ing" reads like a word; encoding it as a word tells.
    encoded = _encode(tokenizer, [words[number] for number in numbers]) if numbers else []
    kept = [number for number, pieces in zip(numbers, encoded, strict=True) if pieces == [number]]
    return np.array(kept, dtype=np.int64), [words[number] for number in kept]


def _encode(tokenizer: "PreTrainedTokenizerBase", words: Sequence[str]) -> list[list[int]]:
    """Piece ids of words after a space, which marks the start of a word for byte-level tokenisers."""
    encoded = tokenizer([f" {word}" for word in words], add_special_tokens=False)
    rows: list[list[int]] = encoded["input_ids"]
    return rows
