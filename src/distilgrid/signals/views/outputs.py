"""Outputs of a teacher on views of images: recorded, opened, or computed live."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import Asking
from distilgrid.signals.recorded import FILE, LABEL, RunningTeacher, checked, positions_of
from distilgrid.signals.views.plan import ViewSignal
from distilgrid.signals.views.stream import viewed_rows
from distilgrid.tasks.batching import ViewedSamples
from distilgrid.training.objective import Outputs
from distilgrid.training.predictor import forward
from distilgrid.training.teacher import StoredTeacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VIEW_BATCH = 256


def record(signal: ViewSignal, asking: Asking) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Logits (E, N, C) on the views of all training images in each epoch.

    Raises UserError when the task is not made of images.
    """
    rows, teacher = asking.training_set, live(signal, asking)
    count, epochs = len(teacher.views), signal.epochs
    flat = torch.empty(epochs * count, teacher.model.config.num_labels)
    starts = [epoch * count + row for epoch in range(epochs) for row in range(0, count, VIEW_BATCH)]
    for start in progress(starts, total=len(starts), label=LABEL):
        samples = range(start, min(start + VIEW_BATCH, (start // count + 1) * count))
        flat[samples.start : samples.stop] = teacher.outputs(samples).logits.cpu()
    logits, views = flat.view(epochs, count, -1), signal.views.model_dump()
    manifest = {"kind": "view-logits", "data_key": rows.dataset.key, "views": views, "epochs": epochs}
    return {"example_ids": torch.from_numpy(rows.example_ids.copy()), "logits": logits}, manifest


def opened(signal: ViewSignal, folders: Sequence[Path], asking: Asking) -> StoredTeacher:
    """Recorded outputs, addressed by sample: e * N + row.

    Raises UserError when the recording is damaged, was made from other data or views, or has too few epochs.
    """
    from safetensors.torch import load_file

    folder, views, epochs = folders[0], signal.views.model_dump(), signal.epochs
    manifest = checked(folder, asking.data_keys)
    if manifest["kind"] != "view-logits":
        raise UserError(f"{folder}: holds no outputs on views of images; record --kind view-logits")
    if manifest["views"] != views or manifest["epochs"] < epochs:
        raise UserError(
            f"{folder}: recorded for {manifest['epochs']} epochs of views {manifest['views']}, but this student needs "
            f"{epochs} epochs of {views}; record again"
        )
    tensors = load_file(folder / FILE)
    rows = torch.from_numpy(positions_of(folder, tensors["example_ids"].numpy(), asking.training_set.example_ids))
    return StoredTeacher(tensors["logits"][:epochs, rows].flatten(0, 1))


def live(signal: ViewSignal, asking: Asking) -> "LiveViewTeacher":
    """A teacher that computes each batch when it is asked for. Raises UserError when the task is not made of images."""
    dataset = asking.training_set.dataset
    if not dataset.task_kind.viewed:
        made = dataset.task_kind.words.rows
        raise UserError(f"--kind view-logits: task '{dataset.task}' is made of {made}; take logits")
    return LiveViewTeacher(asking.model(), viewed_rows(asking.training_set, signal.views))


class LiveViewTeacher(RunningTeacher):
    """A teacher that sees the views of its student."""

    def __init__(self, model: "PreTrainedModel", views: ViewedSamples) -> None:
        super().__init__(model)
        self.views = views

    @torch.no_grad()
    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Logits (B, C) on views of one epoch, in fp32."""
        self.forwards += len(samples)
        with torch.autocast(self.model.device.type, enabled=False):
            return Outputs(forward(self.model, self.views.batch(samples), states=False).logits)
