"""Training rows of a job: a share of the prepared rows, and augmented rows made of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.tasks.batching import Encodings, Rows, Samples, Tokenizer
from distilgrid.tasks.dataset import TEXT_COLUMNS, AugmentedRows, Dataset, limit_rows

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainingSet:
    """Training rows: the chosen ones, then the augmented ones."""

    dataset: Dataset  # prepared data
    fraction: float = 1.0  # share of its training rows: one seeded, stratified subset for all methods
    # rows made of training rows, or of none; those with an origin outside the chosen rows are left out
    augmented: AugmentedRows | None = None

    @cached_property
    def chosen(self) -> "pd.DataFrame":
        """The prepared rows, with their numbers in the whole split as the column `row`."""
        dataset, frame = self.dataset, self.dataset.split("train")
        frame = frame.assign(row=np.arange(len(frame)))
        if self.fraction >= 1:
            return frame
        wanted = max(1, round(self.fraction * len(frame)))
        return limit_rows(frame, wanted, seed=dataset.subset_seed, kind=dataset.task_kind, purpose="fraction")

    @cached_property
    def added(self) -> "pd.DataFrame | None":
        """The augmented rows, with the column `row`; None without any."""
        if self.augmented is None:
            return None
        frame = self.augmented.split("train")
        frame = frame.assign(row=np.arange(len(frame)))
        chosen = set(self.chosen["example_id"])
        return frame[[chosen.issuperset(parents) for parents in frame["parents"]]].reset_index(drop=True)

    @property
    def example_ids(self) -> np.ndarray:
        """Example ids (N,)."""
        return np.concatenate([frame["example_id"].to_numpy() for frame in self._frames()])

    @property
    def text_lengths(self) -> np.ndarray:
        """(N,) characters of each row."""
        return np.concatenate([_characters(frame) for frame in self._frames()])

    def samples(self, tokenizer: Tokenizer, *, max_length: int) -> Samples:
        """All rows as a model reads them."""
        parts: list[Samples] = []
        batch, sources = self.dataset.task_kind.batch(), (self.dataset, self.augmented)
        for source, frame in zip(sources, self._frames(), strict=False):
            assert source is not None
            whole = batch.samples(source, "train", tokenizer=tokenizer, max_length=max_length)
            parts.append(whole if len(frame) == len(whole) else whole.take(frame["row"].tolist()))
        return parts[0] if len(parts) == 1 else parts[0].joined(parts[1:])

    def encodings(self, tokenizer: "PreTrainedTokenizerBase", *, max_length: int) -> Encodings:
        """All rows of texts as tokens; whole splits are tokenised once and cached."""
        samples = self.samples(tokenizer, max_length=max_length)
        assert isinstance(samples, Encodings), "only texts have tokens"
        return samples

    def labels(self) -> Tensor:
        """Targets (N, ...) as the task kind makes them, with a teacher's labels of augmented rows."""
        batch = self.dataset.task_kind.batch()
        if self.added is None or self.augmented is None or not self.augmented.soft:
            return torch.cat([batch.labels(frame) for frame in self._frames()])
        return batch.softened(batch.labels(self.chosen), self.added, outputs=self.dataset.outputs)

    def rows(self, tokenizer: Tokenizer, *, max_length: int) -> Rows:
        """All rows with their labels."""
        return Rows(self.samples(tokenizer, max_length=max_length), self.labels())

    def __len__(self) -> int:
        return sum(map(len, self._frames()))

    def _frames(self) -> "list[pd.DataFrame]":
        return [self.chosen] if self.added is None else [self.chosen, self.added]


def read_split(dataset: Dataset, split: str, *, tokenizer: Tokenizer, max_length: int) -> Samples:
    """Rows of a whole split as a model reads them."""
    return dataset.task_kind.batch().samples(dataset, split, tokenizer=tokenizer, max_length=max_length)


def label_tensor(frame: "pd.DataFrame", dataset: Dataset) -> Tensor:
    """Targets of rows as the task kind makes them."""
    return dataset.task_kind.batch().labels(frame)


def _characters(frame: "pd.DataFrame") -> np.ndarray:
    columns = [name for name in TEXT_COLUMNS if name in frame.columns]
    lengths: np.ndarray = sum(frame[name].str.len().to_numpy() for name in columns)  # type: ignore[assignment]
    return lengths
