"""A teacher's outputs on views of images: asked, recorded, opened, or from a teacher that runs live."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import Asking
from distilgrid.signals.recorded import FILE, LABEL, checked, positions_of
from distilgrid.tasks.kinds.image.settings import Views
from distilgrid.tasks.kinds.image.views import ViewedImages
from distilgrid.training.forward import forward
from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.teacher import StoredTeacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VIEW_BATCH = 256


def record_views(views: Views, epochs: int, asking: Asking) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Outputs on all training images as they are seen in each epoch.

    Raises UserError when the task is not made of images.
    """
    rows = asking.training_set
    seen = rows.views(views)
    if seen is None:
        made = rows.dataset.task_kind.words.rows
        raise UserError(f"--kind view-logits: task '{rows.dataset.task}' is made of {made}; take logits")
    logits = all_view_logits(asking.model(), seen, epochs=epochs)
    manifest = {"kind": "view-logits", "data_key": rows.dataset.key, "views": views.model_dump(), "epochs": epochs}
    return {"example_ids": torch.from_numpy(rows.example_ids.copy()), "logits": logits}, manifest


def open_views(
    folder: Path, *, views: Views, epochs: int, example_ids: np.ndarray, data_keys: Collection[str]
) -> StoredTeacher:
    """Recorded outputs on views of images, addressed by sample: e * N + row.

    Args:
        folder: the teacher-outputs artefact.
        views: the student's.
        epochs: how many of the student's epochs need them.
        example_ids, data_keys: as for `open_recorded`.

    Raises:
        UserError: when the recording is damaged, was made from other data or views, or has too few epochs.
    """
    from safetensors.torch import load_file

    manifest = checked(folder, data_keys)
    if manifest["kind"] != "view-logits":
        raise UserError(f"{folder}: holds no outputs on views of images; record --kind view-logits")
    if manifest["views"] != views.model_dump() or manifest["epochs"] < epochs:
        raise UserError(
            f"{folder}: recorded for {manifest['epochs']} epochs of views {manifest['views']}, but this student needs "
            f"{epochs} epochs of {views.model_dump()}; record again"
        )
    tensors = load_file(folder / FILE)
    rows = torch.from_numpy(positions_of(folder, tensors["example_ids"].numpy(), example_ids))
    return StoredTeacher(tensors["logits"][:epochs, rows].flatten(0, 1))


class LiveViewTeacher:
    """A teacher that sees the views of images that its student sees, batch by batch."""

    def __init__(self, model: "PreTrainedModel", views: ViewedImages) -> None:
        self.model, self.views = model.eval().requires_grad_(False), views
        self.forwards = 0

    @property
    def sizes(self) -> Sizes | None:
        """No token states."""
        return None

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """The outputs on a batch."""
        self.forwards += len(samples)
        return Outputs(view_logits(self.model, self.views, samples))


@torch.no_grad()
def view_logits(model: "PreTrainedModel", views: ViewedImages, samples: Sequence[int]) -> Tensor:
    """A teacher's logits on views of one epoch, in fp32: (B, C), on its device."""
    with torch.autocast(model.device.type, enabled=False):
        return forward(model, views.batch(samples), states=False).logits


def all_view_logits(model: "PreTrainedModel", views: ViewedImages, *, epochs: int) -> Tensor:
    """A teacher's logits on all images as they are seen in each epoch: (E, N, C), on the CPU."""
    count = len(views.images)
    logits = torch.empty(epochs * count, model.config.num_labels)
    starts = [epoch * count + row for epoch in range(epochs) for row in range(0, count, VIEW_BATCH)]
    for start in progress(starts, total=len(starts), label=LABEL):
        samples = range(start, min(start + VIEW_BATCH, (start // count + 1) * count))
        logits[samples.start : samples.stop] = view_logits(model, views, samples).cpu()
    return logits.view(epochs, count, -1)
