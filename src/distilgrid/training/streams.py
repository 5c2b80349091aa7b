"""Streams of samples that a training step learns from, each with inputs and losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from torch import Tensor, nn

from distilgrid.tasks.batching import Batch, Inputs, Rows
from distilgrid.training.objective import Objective, Outputs
from distilgrid.training.teacher import TeacherOutputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Stream(Protocol):
    """Samples of one sort."""

    companion: nn.Module | None  # auxiliary module between the student's outputs and the losses

    @property
    def objective(self) -> Objective:
        """The losses, which say what they need of the student."""

    @property
    def teacher(self) -> TeacherOutputs | None:
        """Teacher outputs on the samples, for losses that need them."""

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of each sample."""

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Inputs for `forward`."""

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """Loss terms of the student's outputs on the samples."""


class MainStream(Stream, Protocol):
    """The training rows in some form; the Trainer sets the losses of each moment."""

    objective: Objective
    teacher: TeacherOutputs | None  # which the Trainer takes away where losses need none

    @property
    def per_epoch(self) -> bool:
        """Whether samples are numbered by epoch and row, e * N + row, because rows change with each epoch."""


class OpenMain(Protocol):
    """Opens the stream of the training rows."""

    def __call__(
        self, rows: Rows, objective: Objective, teacher: TeacherOutputs | None, companion: nn.Module | None
    ) -> MainStream:
        """Open the stream; the rows are as the model reads them."""


class Extra(Protocol):
    """Samples of a step in addition to the training rows."""

    @property
    def teacher(self) -> TeacherOutputs | None:
        """Teacher outputs on the samples, for losses that need them."""

    def batches(self, seed: int) -> list[list[Batch]]:
        """Batches of each epoch, one for each batch of training rows."""

    def stream(self, rows: Rows) -> Stream:
        """Open the stream, from the rows as the model reads them."""


@dataclass
class RowStream:
    """The training rows."""

    per_epoch: ClassVar[bool] = False

    rows: Rows
    objective: Objective
    teacher: TeacherOutputs | None
    companion: nn.Module | None = None

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of each row."""
        lengths: np.ndarray = self.rows.encodings.lengths[list(samples)]
        return lengths

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Tokens of the rows."""
        return self.rows.encodings.batch(samples)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """Terms of the objective."""
        labels = self.rows.labels[list(samples)].to(student.logits.device)
        return self.objective.losses(labels, student, answers(self.teacher, samples, student))


def answers(teacher: TeacherOutputs | None, samples: Sequence[int], student: Outputs) -> Outputs | None:
    """A teacher's outputs on samples, on the student's device; None without a teacher."""
    return None if teacher is None else teacher.outputs(samples).to(student.logits.device)


class OpensTeaching(Protocol):
    """Teachers and additional samples of a run, opened when a job needs them."""

    def outputs(self) -> TeacherOutputs | None:
        """Teacher outputs on the training rows, for losses that need them."""

    def extras(self) -> Sequence[Extra]:
        """Streams of additional samples."""
