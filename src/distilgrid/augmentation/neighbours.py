"""Nearest words in a model's input-embedding space, in place of GloVe and WordNet, which need a download."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import normalize

from distilgrid.augmentation.base import EmbeddingBased, Surroundings
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_tokenizer, read_model
from distilgrid.models.source import model_folder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BLOCK = 64  # words in one matrix product
DECIMALS = 12  # of cosines, so that equal embeddings give equal cosines in every block
HEADS = ("ForMaskedLM", "ForPreTraining")  # classes whose weights hold a masked-LM head


@dataclass(frozen=True)
class WordEncoder:
    """A model, read for its words."""

    tokenizer: "PreTrainedTokenizerBase"
    embeddings: "Tensor"  # (V, H) fp32, a row for each piece
    masked_lm: "PreTrainedModel | None"  # the model with its masked-LM head


def load_encoder(folder: Path, *, masked_lm: bool) -> WordEncoder:
    """Read a model's embeddings, and its masked-LM head if it is wanted and exists.

    Raises UserError when files are missing or damaged, or the weights hold no input embeddings.
    """
    from transformers import AutoModel

    tokenizer = load_tokenizer(folder)
    model = head = _with_head(folder) if masked_lm and tokenizer.mask_token_id is not None else None
    if model is None:
        model, missing = read_model(AutoModel.from_pretrained, folder, named=str(folder))
        absent = [name for name in missing if "embed" in name]
        if absent:
            raise UserError(f"{folder}: the weights lack '{absent[0]}'; they fit another config.json")
    return WordEncoder(tokenizer, model.get_input_embeddings().weight.detach(), head)


def _with_head(folder: Path) -> "PreTrainedModel | None":
    """The model with its masked-LM head; None where the weights hold none, as in a fine-tuned model."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    pretrained = any(name.endswith(HEADS) for name in config.architectures or HEADS)
    if not pretrained or type(config) not in AutoModelForMaskedLM._model_mapping:
        return None
    model, missing = read_model(AutoModelForMaskedLM.from_pretrained, folder, named=str(folder))
    return None if missing else model


class Vocabulary:
    """Pieces that are whole words: two letters or more, no special tokens and no continuations.

    `ids` (W,) are their piece ids in order, `forms` the W words as they are written.
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
        encoded: list[list[int]] = _encode(self.tokenizer, words)
        unknown = self.tokenizer.unk_token_id
        return [[] if unknown in pieces else pieces for pieces in encoded]

    def own_rows(self, word: str, pieces: Sequence[int]) -> list[int]:
        """Rows of `forms` that never substitute a word: the word itself in any case, and its pieces."""
        itself = self._rows.get(word.casefold(), [])
        return sorted({*itself, *(self._row_of_id[piece] for piece in pieces if piece in self._row_of_id)})


def _whole_words(tokenizer: "PreTrainedTokenizerBase", size: int) -> tuple[np.ndarray, list[str]]:
    special = set(tokenizer.all_special_ids)
    tokens = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number < size)
    forms = {n: tokenizer.convert_tokens_to_string([token]).strip() for n, token in tokens if n not in special}
    words = {number: form for number, form in forms.items() if len(form) > 1 and form.isalpha()}
    # A continuation such as RoBERTa's "ing" reads like a word; encoding it as a word tells.
    encoded = _encode(tokenizer, words.values()) if words else []
    kept = [number for number, pieces in zip(words, encoded, strict=True) if pieces == [number]]
    return np.array(kept, dtype=np.int64), [words[number] for number in kept]


def _encode(tokenizer: "PreTrainedTokenizerBase", words: Iterable[str]) -> list[list[int]]:
    """Piece ids of words after a space, which marks the start of a word for byte-level tokenisers."""
    encoded = tokenizer([f" {word}" for word in words], add_special_tokens=False)
    rows: list[list[int]] = encoded["input_ids"]
    return rows


class Neighbours:
    """The nearest whole words by cosine, looked up once for each distinct word.

    A word of several pieces is the mean of their embeddings. Sums are in fp64, so that a word's neighbours do not
    depend on which other words are looked up with it.

    `embeddings` (V, H) have a row for each piece of the vocabulary. A word has at most `count` neighbours, whose cosine
    is `min_similarity` or more.
    """

    def __init__(self, vocabulary: Vocabulary, embeddings: "Tensor", *, count: int, min_similarity: float) -> None:
        self.vocabulary = vocabulary
        self.embeddings = embeddings.float().cpu().numpy()
        self.count, self.min_similarity = count, min_similarity
        self._table = normalize(self.embeddings[vocabulary.ids].astype(np.float64))  # (W, H)
        self._found: dict[str, tuple[str, ...]] = {}

    @classmethod
    def read(
        cls, settings: EmbeddingBased, surroundings: Surroundings, *, masked_lm: bool = False
    ) -> "tuple[Neighbours, WordEncoder]":
        """The neighbours that an augmentation's settings describe, and the model that they come from.

        Raises UserError when the settings name no model and there is no teacher, or the model cannot be found.
        """
        folder = model_folder(settings.source) if settings.source is not None else surroundings.teacher
        if folder is None:
            kind = settings.kind
            raise UserError(f"augmentation '{kind}': there is no teacher to take words from; set source to a model")
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
        cosines = np.round(normalize(means) @ self._table.T, DECIMALS)  # (B, W)
        for (word, ids), row in zip(known, cosines, strict=True):
            row[self.vocabulary.own_rows(word, ids)] = -np.inf
            near = [place for place in _largest(row, self.count) if row[place] >= self.min_similarity]
            self._found[word] = tuple(self.vocabulary.forms[place] for place in near)


def _largest(row: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values, largest first; ties keep their order."""
    places = np.flatnonzero(row >= np.partition(row, -count)[-count]) if count < len(row) else np.arange(len(row))
    largest: np.ndarray = places[np.argsort(-row[places], kind="stable")][:count]
    return largest
