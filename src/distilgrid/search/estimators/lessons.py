"""Data of candidates: rows, tokenised once, and the teacher's outputs on them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.teaching import Sources, Teaching
from distilgrid.models.io import load_tokenizer
from distilgrid.tasks.batching import Rows
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.training.settings import Training
from distilgrid.training.teacher import TeacherOutputs
from distilgrid.training.training_set import TrainingSet, label_tensor, read_split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Lessons:
    """Rows and teacher outputs that all candidates of a search share, opened on use.

    Opening raises UserError for images, and for inputs that are missing, damaged or of other rows.
    """

    sources: Sources  # prepared data, and recorded teacher outputs or the teacher
    origin: Path  # folder of the pretrained model, whose tokeniser candidates share
    method: BaseMethod
    training: Training
    share: float  # share of the training rows

    @cached_property
    def dataset(self) -> Dataset:
        """Prepared data."""
        dataset = open_dataset(self.sources.data)
        if not dataset.task_kind.tokenised:
            made = dataset.task_kind.words.rows
            raise UserError(f"task '{dataset.task}' is made of {made}; a search takes tasks made of texts")
        return dataset

    @cached_property
    def rows(self) -> Rows:
        """Share of the training rows."""
        return self._training_set.rows(self._tokenizer, max_length=self.training.max_length)

    @cached_property
    def dev(self) -> Rows:
        """Rows that candidates are scored on."""
        samples = read_split(self.dataset, "dev", tokenizer=self._tokenizer, max_length=self.training.max_length)
        return Rows(samples, label_tensor(self.dataset.split("dev"), self.dataset))

    @cached_property
    def teacher(self) -> TeacherOutputs:
        """Teacher outputs on the rows."""
        teacher = Teaching(self.method, self.training, self._training_set, self.sources).outputs()
        assert teacher is not None, "methods of estimators have a teacher"
        return teacher

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        return load_tokenizer(self.origin)

    @cached_property
    def _training_set(self) -> TrainingSet:
        return TrainingSet(self.dataset, self.share)
