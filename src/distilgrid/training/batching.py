"""Tokenised rows, and the batches made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Inputs = dict[str, Tensor]
BUCKET_BATCHES = 32


@dataclass(frozen=True)
class Encodings:
    """Tokenised rows of one split through one tokeniser.

    Attributes:
        input_ids: token ids of each row, special tokens included, unpadded.
        token_type_ids: segment ids of each row, or None where the model has no segments.
        pad_id: id that fills rows up to a batch's longest.
    """

    input_ids: list[np.ndarray]
    token_type_ids: list[np.ndarray] | None
    pad_id: int

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.array([len(ids) for ids in self.input_ids])

    def __len__(self) -> int:
        return len(self.input_ids)

    def batch(self, rows: Sequence[int], *, length: int | None = None) -> Inputs:
        """The model inputs of some rows, padded to the longest of them or to `length`: each (B, L), int64."""
        width = length or max(len(self.input_ids[row]) for row in rows)
        inputs = {
            "input_ids": _padded([self.input_ids[row] for row in rows], width, self.pad_id),
            "attention_mask": _padded([np.ones_like(self.input_ids[row]) for row in rows], width, 0),
        }
        if self.token_type_ids is not None:
            inputs["token_type_ids"] = _padded([self.token_type_ids[row] for row in rows], width, 0)
        return inputs


def encode(
    tokenizer: "PreTrainedTokenizerBase", first: list[str], second: list[str] | None, *, max_length: int
) -> Encodings:
    """Tokenise raw texts, or pairs of texts, truncated to `max_length` tokens (the longer text first)."""
    encoded = tokenizer(
        first, second, truncation=True, max_length=max_length, padding=False, return_attention_mask=False
    )
    segments = encoded.get("token_type_ids")
    return Encodings(
        input_ids=[np.asarray(ids, dtype=np.int64) for ids in encoded["input_ids"]],
        token_type_ids=None if segments is None else [np.asarray(ids, dtype=np.int64) for ids in segments],
        pad_id=int(tokenizer.pad_token_id or 0),
    )


def training_batches(lengths: np.ndarray, *, batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """One epoch of row numbers in batches of similar length, each row once.

    Rows are shuffled, sorted by length within buckets of 32 batches, and the batches are shuffled:
    little padding, and a composition that stays random.
    """
    order = torch.randperm(len(lengths), generator=generator).numpy()
    span = batch_size * BUCKET_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        bucket = order[start : start + span]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [bucket[i : i + batch_size].tolist() for i in range(0, len(bucket), batch_size)]
    for index in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[index]


def evaluation_batches(lengths: np.ndarray, *, batch_size: int) -> Iterator[list[int]]:
    """All row numbers in batches, longest rows first, so that memory peaks at the start."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size].tolist()


def _padded(rows: list[np.ndarray], width: int, fill: int) -> Tensor:
    out = np.full((len(rows), width), fill, dtype=np.int64)  # (B, L)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)
