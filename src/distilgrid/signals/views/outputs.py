"""Views of images: outputs of a teacher on them, and the stream of a student's training rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.signals.asking import AskedTeacher, Manifest, positions_of
from distilgrid.signals.views.plan import ViewSignal
from distilgrid.tasks.batching import Batch, Inputs, ViewedSamples
from distilgrid.tasks.settings import Views
from distilgrid.training.objective import Outputs
from distilgrid.training.streams import OpenMain, RowStream, answers
from distilgrid.training.teacher import StoredTeacher
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.signals.keeping import Keeping

VIEW_BATCH = 256


class ViewTeacher(AskedTeacher):
    """A teacher that sees the views of its student, a batch when it is asked for."""

    signal: ViewSignal

    @cached_property
    def views(self) -> ViewedSamples:
        """Views of the rows. Raises UserError when the task is not made of images."""
        if not self.rows.dataset.task_kind.viewed:
            raise self.misfit("take logits")
        return viewed_rows(self.rows, self.signal.views)

    def inputs(self, samples: Batch) -> Inputs:
        """Views of one epoch."""
        return self.views.batch(samples)

    def record(self, file: "Keeping") -> Manifest:
        """Logits (E, N, ...) on the views of all training images in each epoch."""
        from distilgrid.signals.keeping import logits_slots

        count, epochs, views = len(self.rows), self.signal.epochs, self.signal.views.model_dump()
        starts = [epoch * count + row for epoch in range(epochs) for row in range(0, count, VIEW_BATCH)]
        batches = [list(range(start, min(start + VIEW_BATCH, (start // count + 1) * count))) for start in starts]
        ids = torch.from_numpy(self.rows.example_ids.copy())
        logits = logits_slots(self.rows.dataset.task_kind, self.model, epochs, count)
        file.fill({"example_ids": ids, "logits": logits}, batches, self.answers)
        return {"kind": "view-logits", "data_key": self.rows.dataset.key, "views": views, "epochs": epochs}

    def open(self, folders: Sequence[Path]) -> StoredTeacher:
        """Recorded outputs, addressed by sample, e * N + row; refuses those of other views, or of too few epochs."""
        folder, views, epochs = folders[0], self.signal.views.model_dump(), self.signal.epochs
        tensors, manifest = self.checked(folder)
        if manifest["views"] != views or manifest["epochs"] < epochs:
            raise UserError(
                f"{folder}: recorded for {manifest['epochs']} epochs of views {manifest['views']}, but this student "
                f"needs {epochs} epochs of {views}; record again"
            )
        ids = tensors["example_ids"].whole()
        rows = positions_of(folder, ids.numpy(), self.rows.example_ids)
        chosen = (torch.arange(epochs)[:, None] * len(ids) + rows).flatten()
        return StoredTeacher(tensors["logits"].flattened(2).take(chosen))


def viewed_rows(training_set: TrainingSet, views: Views) -> ViewedSamples:
    """Views of the rows in each epoch."""
    samples, batching = training_set.samples(None, max_length=0), training_set.dataset.task_kind.batch()
    return batching.viewed(samples, views, training_set.example_ids)


def main_stream(training_set: TrainingSet, views: Views) -> OpenMain:
    """The stream of views of the training images."""
    return partial(ViewStream, views=viewed_rows(training_set, views))


@dataclass
class ViewStream(RowStream):
    """Views of the training images in each epoch. Samples are numbered as in `ViewedSamples`."""

    per_epoch: ClassVar[bool] = True

    views: ViewedSamples = field(kw_only=True)

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Zeros: a batch is never cut for its size, because batch norm needs the statistics of the whole batch."""
        return np.zeros(len(samples), dtype=np.int64)

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Views of the samples."""
        return self.views.batch(samples)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """Terms of the objective."""
        rows = self.views.rows(samples)
        labels, asked = self.rows.labels[rows].to(student.logits.device), samples
        if not self.views.views.drawn:
            asked = rows.tolist()
        return self.objective.losses(labels, student, answers(self.teacher, asked, student))
