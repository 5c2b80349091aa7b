"""Questions to a teacher: its rows and its folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.tasks.batching import Encodings, Samples
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Asking:
    """One teacher and the rows that it answers."""

    training_set: TrainingSet
    max_length: int  # longest input of the teacher, in tokens
    folder: Path | None = None  # the teacher; None where only recordings are read

    @property
    def data_keys(self) -> list[str]:
        """Keys of the prepared data and of the augmented rows."""
        augmented = self.training_set.augmented
        return [self.training_set.dataset.key, *([augmented.key] if augmented else [])]

    def model(self) -> "PreTrainedModel":
        """The teacher's model, read once."""
        return self._model

    def samples(self) -> Samples:
        """The rows as the teacher reads them."""
        return self._samples

    def encodings(self) -> Encodings:
        """The rows as tokens. Raises UserError when the rows are images."""
        if not isinstance(self._samples, Encodings):
            dataset = self.training_set.dataset
            made = dataset.task_kind.words.rows
            raise UserError(f"task '{dataset.task}' is made of {made}; only texts are mixed")
        return self._samples

    def tokenizer(self) -> "PreTrainedTokenizerBase | None":
        """The teacher's tokeniser; None for images."""
        return load_tokenizer(self._found) if self.training_set.dataset.task_kind.tokenised else None

    @property
    def _found(self) -> Path:
        assert self.folder is not None, "a teacher that is asked lies in a folder"
        return self.folder

    @cached_property
    def _model(self) -> "PreTrainedModel":
        return load_model(self._found)

    @cached_property
    def _samples(self) -> Samples:
        return self.training_set.samples(self.tokenizer(), max_length=self.max_length)
