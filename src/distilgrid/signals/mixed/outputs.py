"""A teacher's outputs on mixed samples: asked, recorded, opened, or from a teacher that runs live."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import Asking
from distilgrid.signals.mixed.inputs import mixed_inputs
from distilgrid.signals.mixed.mixing import Schedule, make_schedule
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.signals.recorded import FILE, LABEL, checked
from distilgrid.tasks.batching import Batch, Encodings
from distilgrid.training.forward import forward
from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def record_mixed(mixup: Mixup, training: Training, asking: Asking) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Outputs on all mixed samples of a run. Raises UserError when the rows cannot be mixed."""
    rows = asking.training_set
    schedule = make_schedule(rows.text_lengths, mixup, training)
    logits = all_mixed_logits(asking.model(), asking.encodings(), schedule, token_types=mixup.token_types)
    manifest = {"kind": "mixed-logits", "data_key": rows.dataset.key, "schedule": schedule.digest(rows.example_ids)}
    return {"logits": logits, "weights": torch.from_numpy(schedule.mixtures.weight)}, manifest


def open_mixed(
    folder: Path, *, schedule: Schedule, example_ids: np.ndarray, data_keys: Collection[str]
) -> StoredTeacher:
    """Recorded outputs on mixed samples.

    Args:
        folder: the teacher-outputs artefact.
        schedule: the student's mixed samples.
        example_ids, data_keys: as for `open_recorded`.

    Raises:
        UserError: when the recording is damaged, or was made from other data or for other mixed samples.
    """
    from safetensors.torch import load_file

    manifest = checked(folder, data_keys)
    if manifest["kind"] != "mixed-logits":
        raise UserError(f"{folder}: holds no outputs on mixed samples; record --kind mixed-logits")
    if manifest["schedule"] != schedule.digest(example_ids):
        raise UserError(
            f"{folder}: recorded for other mixed samples; rows, epochs, batch size and mixup must be those of the "
            "student; record again"
        )
    return StoredTeacher(load_file(folder / FILE)["logits"])


class LiveMixedTeacher:
    """A teacher that reads mixed samples, each batch of them when it is asked for, as a recording would have."""

    def __init__(self, model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, *, token_types: str) -> None:
        self.model, self.encodings = model.eval().requires_grad_(False), encodings
        self.schedule, self.token_types = schedule, token_types
        self.batch_of = {sample: batch for batch in schedule.batches for sample in batch}
        self.batch: Batch = []
        self.logits = torch.empty(0)
        self.forwards = 0

    @property
    def sizes(self) -> Sizes | None:
        """No token states."""
        return None

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of samples of one batch, which goes through the teacher whole: parts of it would round otherwise."""
        batch = self.batch_of[samples[0]]
        if batch is not self.batch:
            self.batch = batch
            self.logits = mixed_logits(self.model, self.encodings, self.schedule, batch, token_types=self.token_types)
            self.forwards += len(batch)
        place = {sample: number for number, sample in enumerate(batch)}
        return Outputs(self.logits[[place[sample] for sample in samples]])


@torch.no_grad()
def mixed_logits(
    model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, batch: Batch, *, token_types: str
) -> Tensor:
    """A teacher's logits on a batch of mixed samples, through its own embeddings: (M, C), on its device."""
    with torch.autocast(model.device.type, enabled=False):
        inputs = mixed_inputs(model, encodings, schedule.mixtures.take(batch), token_types=token_types)
        return forward(model, inputs, states=False).logits


def all_mixed_logits(model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, *, token_types: str) -> Tensor:
    """A teacher's logits on all mixed samples of a run, batch by batch: (M, C), on the CPU."""
    logits = torch.empty(len(schedule.mixtures), model.config.num_labels)
    batches = schedule.batches
    for batch in progress(batches, total=len(batches), label=LABEL):
        logits[batch] = mixed_logits(model, encodings, schedule, batch, token_types=token_types).cpu()
    return logits
