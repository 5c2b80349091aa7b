"""Training images as a stream of views."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor, nn

from distilgrid.tasks.batching import Inputs, Rows, ViewedSamples
from distilgrid.tasks.settings import Views
from distilgrid.training.objective import Objective, Outputs
from distilgrid.training.streams import OpenMain
from distilgrid.training.teacher import TeacherOutputs
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def viewed_rows(training_set: TrainingSet, views: Views) -> ViewedSamples:
    """Views of the rows in each epoch."""
    samples, batching = training_set.samples(None, max_length=0), training_set.dataset.task_kind.batch()
    return batching.viewed(samples, views, training_set.example_ids)


def main_stream(training_set: TrainingSet, views: Views) -> OpenMain:
    """The stream of views of the training images."""
    seen = viewed_rows(training_set, views)

    def opened(
        rows: Rows, objective: Objective, teacher: TeacherOutputs | None, companion: nn.Module | None
    ) -> "ViewStream":
        return ViewStream(rows.labels, seen, objective, teacher, companion)

    return opened


@dataclass
class ViewStream:
    """Views of the training images in each epoch. Samples are numbered as in `ViewedSamples`."""

    per_epoch: ClassVar[bool] = True

    labels: Tensor
    views: ViewedSamples
    objective: Objective
    teacher: TeacherOutputs | None
    companion: nn.Module | None = None
    needs_states: bool = False
    needs_tokens: bool = False
    needs_batch: bool = False

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Zeros: a batch is never cut for its size, because batch norm needs the statistics of the whole batch."""
        return np.zeros(len(samples), dtype=np.int64)

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Views of the samples."""
        return self.views.batch(samples)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """Terms of the objective."""
        device, rows = student.logits.device, self.views.rows(samples)
        asked = samples if self.views.views.drawn else rows.tolist()
        teacher = self.teacher.outputs(asked).to(device) if self.teacher is not None else None
        return self.objective.losses(self.labels[rows].to(device), student, teacher)
