"""Tokenisation with the tokeniser file that is deployed with a model. Light: needs no transformers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distilgrid.tasks.long_texts import TextCutter

FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class TextReader:
    """Reads one text, or one pair, at a time into the model's inputs `names`, by the `tokenizer.json` of a folder.

    Inputs of more than `longest` tokens are cut as in training, the longer text of a pair first.
    """

    def __init__(self, folder: Path, *, names: Sequence[str], longest: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self._cut = TextCutter(self._tokenizer, longest=longest)
        self._names = list(names)

    def __call__(self, first: str, second: str | None = None) -> dict[str, np.ndarray]:
        """Inputs of one row: (1, L) int64 each."""
        read = self._tokenizer.encode(*self._cut(first, second))
        return {name: np.array([getattr(read, FIELDS[name])], dtype=np.int64) for name in self._names}
