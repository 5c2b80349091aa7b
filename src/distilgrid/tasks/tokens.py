"""Tokenised splits, cached next to prepared data: made once, then mapped into the memory of every job."""

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.artefacts import read_json, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256, recipe_key
from distilgrid.core.machine import package_versions
from distilgrid.tasks.augmented import AugmentedRows
from distilgrid.tasks.batching import Encodings, encode
from distilgrid.tasks.dataset import Dataset, texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMAT = 2
PARTS = ("tokens", "segments", "offsets")
log = logging.getLogger(__name__)
RowsOnDisk = Dataset | AugmentedRows


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
