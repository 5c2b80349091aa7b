"""Rows as models read them: tokens, cached next to their rows, and batches."""

import contextlib
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.artefacts import read_json, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256, recipe_key
from distilgrid.core.machine import package_versions
from distilgrid.tasks.dataset import RowsOnDisk, texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from distilgrid.tasks.settings import Views

Inputs = dict[str, Tensor]
Batch = list[int]
Tokenizer: TypeAlias = "PreTrainedTokenizerBase | None"
"""None for a kind that is not tokenised."""
BUCKET_BATCHES = 32
FORMAT = 2
PARTS = ("tokens", "segments", "offsets")
log = logging.getLogger(__name__)


class Samples(Protocol):
    """Rows of one split as a model reads them."""

    @property
    def lengths(self) -> np.ndarray:
        """(N,) tokens of each row; 1 for a row without tokens."""

    def __len__(self) -> int: ...

    def batch(self, rows: Sequence[int], *, length: int | None = None) -> Inputs:
        """Model inputs of some rows; tokens are padded to the longest of them or to `length`."""

    def take(self, rows: Sequence[int]) -> "Samples":
        """Some rows, in the given order."""

    def joined(self, others: "Sequence[Samples]") -> "Samples":
        """These rows, then those of others that the same kind made."""


class ViewedSamples(Protocol):
    """Random views of N rows, one of each in each epoch. Sample e * N + i is row i in epoch e."""

    views: "Views"

    def __len__(self) -> int: ...

    def rows(self, samples: Sequence[int]) -> np.ndarray:
        """(B,) row numbers of samples."""

    def batch(self, samples: Sequence[int]) -> Inputs:
        """Model inputs of samples of one epoch."""


@dataclass(frozen=True)
class Encodings:
    """Tokenised rows of one split, end to end."""

    tokens: np.ndarray  # (T,) ids of all rows, special tokens included, unpadded; may be mapped from a file
    segments: np.ndarray | None  # (T,) segment ids, or None for a model without segments
    offsets: np.ndarray  # (N + 1,) start of each row, and the end of the last one
    pad_id: int  # id that fills rows up to the longest of a batch

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], segments: Sequence[Sequence[int]] | None, *, pad_id: int) -> "Encodings":
        """Join one list of ids per row."""
        offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        joined = None if segments is None else np.concatenate(segments).astype(np.uint8)
        return cls(np.concatenate(rows).astype(np.int32), joined, offsets, pad_id)

    def joined(self, others: Sequence[Samples]) -> "Encodings":
        """These rows, then others of the same tokeniser."""
        parts = [self, *(part for part in others if isinstance(part, Encodings))]
        starts = np.cumsum([0, *(part.offsets[-1] for part in parts)])
        offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
        tokens = np.concatenate([part.tokens for part in parts])
        segments = [part.segments for part in parts if part.segments is not None]
        joined = np.concatenate(segments) if segments else None
        return Encodings(tokens, joined, np.concatenate([*offsets, starts[-1:]]), self.pad_id)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: Sequence[int]) -> "Encodings":
        """Some rows, in the given order."""
        index = np.asarray(rows, dtype=np.int64)  # an empty list would become floats
        starts, lengths = self.offsets[index], self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        segments = None if self.segments is None else self.segments[places]
        return Encodings(self.tokens[places], segments, offsets, self.pad_id)

    def batch(self, rows: Sequence[int], *, length: int | None = None) -> Inputs:
        """Model inputs of some rows, padded to the longest of them or to `length`: each (B, L), int64."""
        index = np.asarray(rows)
        starts, lengths = self.offsets[index], self.offsets[index + 1] - self.offsets[index]
        columns = np.arange(length or lengths.max())
        inside = columns < lengths[:, None]  # (B, L)
        places = np.where(inside, starts[:, None] + columns, 0)
        inputs = {"input_ids": np.where(inside, self.tokens[places], self.pad_id), "attention_mask": inside}
        if self.segments is not None:
            inputs["token_type_ids"] = np.where(inside, self.segments[places], 0)
        return {name: torch.from_numpy(values.astype(np.int64)) for name, values in inputs.items()}


@dataclass(frozen=True)
class Rows:
    """Rows as a model reads them, with labels (N, ...) as the task kind makes them."""

    encodings: Samples
    labels: Tensor


def encode(
    tokenizer: "PreTrainedTokenizerBase", first: list[str], second: list[str] | None, *, max_length: int
) -> Encodings:
    """Tokenise raw texts, or pairs of texts, truncated to `max_length` tokens (the longer text first)."""
    from distilgrid.tasks.long_texts import cut_rows

    first, second = cut_rows(tokenizer, first, second, longest=max_length)
    encoded = tokenizer(first, second, truncation=True, max_length=max_length, return_attention_mask=False)
    return Encodings.of(encoded["input_ids"], encoded.get("token_type_ids"), pad_id=int(tokenizer.pad_token_id or 0))


def tokenised(source: RowsOnDisk, split: str, *, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Encodings:
    """Tokenise a whole split, or read it from its cache.

    The cache key holds the data's recipe, the tokeniser's content and the length; hashes verify its files. A read-only
    folder caches nothing.
    """
    # As the first use would: a saved tokeniser must not depend on the state of a cache.
    tokenizer.backend_tokenizer.enable_truncation(max_length, direction=tokenizer.truncation_side)
    tokenizer.backend_tokenizer.no_padding()
    identity = {
        "format": FORMAT,
        "data": source.key,
        "split": split,
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "inputs": list(tokenizer.model_input_names),  # BERT has segments, DistilBERT with the same tokeniser has none
        "max_length": max_length,
        "tokenizers": package_versions()["tokenizers"],
    }
    folder = source.folder / ".tokens" / f"{split}-{recipe_key(identity)}"
    pad = int(tokenizer.pad_token_id or 0)
    found = _load(folder, pad)
    if found is None:
        found = encode(tokenizer, *texts(source.split(split)), max_length=max_length)
        with contextlib.suppress(OSError):
            _keep(folder, found)
    return found


def _load(folder: Path, pad: int) -> Encodings | None:
    """Read a cache; None, with a warning for a damaged one."""
    if not folder.exists():
        return None
    try:
        hashes = read_json(folder / "manifest.json")
        if any(file_sha256(folder / name) != digest for name, digest in hashes.items()):
            raise ValueError("a file differs from the manifest")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in PARTS if f"{name}.npy" in hashes}
        return Encodings(arrays["tokens"], arrays.get("segments"), np.asarray(arrays["offsets"]), pad)
    except (UserError, OSError, ValueError, AttributeError, KeyError):  # a process that keeps it anew may remove files
        log.warning("%s: damaged; tokenising again", folder)
        return None


def _keep(folder: Path, encodings: Encodings) -> None:
    scratch = folder.with_name(f".{folder.name}-{os.getpid()}")
    scratch.mkdir(parents=True)
    try:
        for name in PARTS:
            values = getattr(encodings, name)
            if values is not None:
                np.save(scratch / f"{name}.npy", values)
        write_json(scratch / "manifest.json", {p.name: file_sha256(p) for p in sorted(scratch.glob("*.npy"))})
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def epoch_batches(
    lengths: np.ndarray,
    *,
    batch_size: int,
    generator: torch.Generator,
    tokens: int | None = None,
    bucketed: bool = True,
) -> list[Batch]:
    """Row numbers of one epoch in shuffled batches, each row once.

    Bucketed rows are shuffled, sorted by length within buckets of 32 batches, and their batches are shuffled: little
    padding, and random compositions. Other rows are only shuffled. `lengths` (N,) are tokens; a batch holds up to
    `batch_size` rows and, padding included, up to `tokens` tokens.
    """
    order = torch.randperm(len(lengths), generator=generator).numpy()
    if not bucketed:
        return _cut(order, lengths, batch_size, tokens)
    span = batch_size * BUCKET_BATCHES
    batches: list[Batch] = []
    for start in range(0, len(order), span):
        bucket = order[start : start + span]
        batches += _cut(bucket[np.argsort(lengths[bucket], kind="stable")], lengths, batch_size, tokens)
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


def evaluation_batches(lengths: np.ndarray, *, batch_size: int = 64, tokens: int = 1024) -> list[Batch]:
    """All row numbers, longest rows first so that memory peaks at the start; both bounds hold, padding included."""
    return _cut(np.argsort(-lengths, kind="stable"), lengths, batch_size, tokens)


def _cut(order: np.ndarray, lengths: np.ndarray, batch_size: int, tokens: int | None) -> list[Batch]:
    if tokens is None:
        return [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]
    batches: list[Batch] = [[]]
    longest = 0
    for row in order.tolist():
        longest = max(longest, int(lengths[row]))
        batch = batches[-1]
        if batch and (len(batch) == batch_size or longest * (len(batch) + 1) > tokens):
            batches.append([])
            longest = int(lengths[row])
        batches[-1].append(row)
    return batches
