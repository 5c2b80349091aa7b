"""Questions to a teacher about a student's rows; its answers, computed live, recorded, or read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.core.loading import late
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.shapes import Sizes
from distilgrid.signals.base import Signal
from distilgrid.tasks.batching import Batch, Inputs, Samples, Tokenizer
from distilgrid.training.objective import Outputs
from distilgrid.training.placement import exact_products
from distilgrid.training.predictor import forward
from distilgrid.training.teacher import StoredTeacher
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.signals.keeping import Keeping
    from distilgrid.signals.tensor_file import FileTensor

FILE = "train.safetensors"
check_loaded = late("distilgrid.models.facts:check_loaded")
Manifest = dict[str, Any]
"""What a recording says about itself."""


@dataclass(frozen=True)
class Asking:
    """One teacher and the rows that it answers. Signals share the model and the rows, each read once."""

    training_set: TrainingSet
    max_length: int  # longest input of the teacher, in tokens
    folder: Path | None = None  # the teacher; None where only recordings are read
    reader: Tokenizer = None  # the student's tokeniser, for signals that compare tokens; None compares none
    reader_length: int = 0  # longest input of the student, in tokens

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The teacher's model."""
        return load_model(self._found)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The teacher's tokeniser; None for images."""
        return load_tokenizer(self._found) if self.training_set.dataset.task_kind.tokenised else None

    @cached_property
    def samples(self) -> Samples:
        """The rows as the teacher reads them. Raises UserError for a teacher with fewer positions."""
        check_loaded(self.model, self.tokenizer, self.max_length)
        return self.training_set.samples(self.tokenizer, max_length=self.max_length)

    @property
    def _found(self) -> Path:
        assert self.folder is not None, "a teacher that is asked lies in a folder"
        return self.folder


class AskedTeacher:
    """A teacher that is asked for a signal.

    It answers within a student's job (`outputs`), is recorded, or reads its recording again (`open`).
    """

    def __init__(self, signal: Signal, asking: Asking) -> None:
        self.signal, self.asking, self.rows = signal, asking, asking.training_set
        self.forwards = 0  # samples that went through the teacher

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The model, in evaluation mode and without gradients."""
        return self.asking.model.eval().requires_grad_(False)

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of token states: none, where only logits are computed."""
        return None

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def inputs(self, samples: Batch) -> Inputs:
        """Inputs of samples, for `forward`."""
        raise NotImplementedError

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs on samples, computed when they are asked for."""
        self.forwards += len(samples)
        return answer(self.model, self.inputs(list(samples)))

    def record(self, file: "Keeping") -> Manifest:
        """Write outputs on all samples to a file. Raises UserError when the rows do not suit."""
        raise NotImplementedError

    def open(self, folders: Sequence[Path]) -> StoredTeacher:
        """Recorded outputs of the teacher, aligned to a student's rows.

        Raises UserError when a recording is damaged, or was made from other rows.
        """
        raise NotImplementedError

    def answers(self, samples: Batch) -> dict[str, Tensor]:
        """Rows of the recorded tensors."""
        return {"logits": answer(self.model, self.inputs(samples)).logits.cpu()}

    def checked(self, folder: Path, *instead: str) -> "tuple[dict[str, FileTensor], Manifest]":
        """A complete recording of the signal, or of one that holds its outputs too: its tensors, and its manifest.

        Raises UserError when it is damaged, holds other outputs, or was made from other data.
        """
        from distilgrid.signals.tensor_file import tensors_of

        recording = open_finished(folder, stage="record")
        manifest: Manifest = recording.json("manifest.json")
        keys = [self.rows.dataset.key, *([self.rows.augmented.key] if self.rows.augmented else [])]
        recorded, kind, wanted = manifest["data_key"], manifest["kind"], self.signal.name
        if recorded not in keys:
            own = f"this student trains on data {' and '.join(keys)}"
            raise UserError(f"{folder}: recorded on data {recorded}, but {own}; record again")
        if kind not in (wanted, *instead):
            raise UserError(f"{folder}: holds {kind} only, but this method needs {wanted}; record --kind {wanted}")
        return tensors_of(recording.path(FILE)), manifest

    def misfit(self, advice: str) -> UserError:
        """Complaint about rows that do not suit the signal."""
        dataset = self.rows.dataset
        made = dataset.task_kind.words.rows
        return UserError(f"--kind {self.signal.name}: task '{dataset.task}' is made of {made}; {advice}")


@torch.no_grad()
def answer(model: "PreTrainedModel", inputs: Inputs, *, states: bool = False, tokens: bool = False) -> Outputs:
    """A teacher's outputs on a batch in fp32, on its device."""
    with torch.autocast(model.device.type, enabled=False), exact_products(model.device):
        return forward(model, inputs, states=states, tokens=tokens)


def positions_of(folder: Path, recorded: np.ndarray, wanted: np.ndarray) -> Tensor:
    """Positions of ids among the recorded ones. Raises UserError when an id was not recorded."""
    order = np.argsort(recorded, kind="stable")
    found = np.searchsorted(recorded[order], wanted).clip(max=len(recorded) - 1)
    positions = order[found]
    missing = np.flatnonzero(recorded[positions] != wanted)
    if len(missing):
        row, count = missing[0] + 1, len(missing)
        raise UserError(f"{folder}: no recorded output for training row {row} ({count} missing); record again")
    return torch.from_numpy(positions)
