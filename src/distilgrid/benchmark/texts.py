"""Latency on a task's texts: the model at each text's length, and the way from text to label."""

from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from distilgrid.benchmark.protocol import SEED, Run
from distilgrid.runtimes.base import Session
from distilgrid.runtimes.text_reader import TextReader
from distilgrid.tasks.dataset import Dataset, texts
from distilgrid.tasks.kind import TaskKind


@dataclass(frozen=True)
class Texts:
    """Validation texts (and second texts of pairs) that represent a task's lengths.

    Attributes:
        labels: names of the outputs; empty for a kind without a set.
        longest: the maximum of tokens that are read.
    """

    rows: list[tuple[str, str | None]]
    kind: TaskKind
    labels: tuple[str, ...]
    longest: int


def choose_texts(dataset: Dataset, folder: Path, *, count: int, longest: int) -> Texts:
    """Up to `count` rows of the main validation split at evenly spaced ranks of length, in a seeded random order.

    The tokeniser in `folder` decides the lengths; `longest` is the maximum of tokens that the models read.
    """
    first, second = texts(dataset.split(dataset.validation[0]))
    rows = list(zip(first, second or repeat(None, len(first)), strict=True))
    reader = TextReader(folder, names=["input_ids"], longest=longest)
    by_length = np.argsort([reader(*row)["input_ids"].size for row in rows], kind="stable")
    ranks = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    chosen = np.random.default_rng(SEED).permutation(by_length[ranks])
    return Texts([rows[row] for row in chosen], dataset.task_kind, dataset.labels, longest)


def facts(chosen: Texts, reader: TextReader) -> dict[str, Any]:
    """The number of texts and of their tokens, for readers of a measurement."""
    tokens = [reader(*row)["input_ids"].size for row in chosen.rows]
    low, middle, high = np.percentile(tokens, [0, 50, 100]).astype(int).tolist()
    return {"texts": len(tokens), "tokens": {"least": low, "median": middle, "most": high}}


def model_calls(chosen: Texts, reader: TextReader, session: Session) -> list[Run]:
    """One call for each text: the model alone, on prepared tokens."""
    return [session.bind(reader(*row)) for row in chosen.rows]


def label_calls(chosen: Texts, reader: TextReader, session: Session) -> list[Run]:
    """One call for each text: from the text to its label, or to its number."""

    def label(row: tuple[str, str | None]) -> str | float:
        outputs = session.bind(reader(*row))()
        return chosen.kind.answer(outputs, chosen.labels)

    return [partial(label, row) for row in chosen.rows]
