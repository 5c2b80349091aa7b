"""Outputs of a teacher on mixed samples: recorded, opened, or computed live."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import Asking
from distilgrid.signals.mixed.inputs import mixed_inputs
from distilgrid.signals.mixed.mixing import Schedule, make_schedule
from distilgrid.signals.mixed.plan import MixedSignal
from distilgrid.signals.recorded import FILE, LABEL, RunningTeacher, checked
from distilgrid.tasks.batching import Batch, Encodings
from distilgrid.training.objective import Outputs
from distilgrid.training.predictor import forward
from distilgrid.training.teacher import StoredTeacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def record(signal: MixedSignal, asking: Asking) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Logits (M, C) on all mixed samples of a run, and the weights of the mixtures.

    Raises UserError when the rows cannot be mixed.
    """
    rows, schedule = asking.training_set, _schedule(signal, asking)
    teacher, batches = live(signal, asking), schedule.batches
    logits = torch.empty(len(schedule.mixtures), teacher.model.config.num_labels)
    for batch in progress(batches, total=len(batches), label=LABEL):
        logits[batch] = teacher.logits_of(batch).cpu()
    manifest = {"kind": "mixed-logits", "data_key": rows.dataset.key, "schedule": schedule.digest(rows.example_ids)}
    return {"logits": logits, "weights": torch.from_numpy(schedule.mixtures.weight)}, manifest


def opened(signal: MixedSignal, folders: Sequence[Path], asking: Asking) -> StoredTeacher:
    """Recorded outputs, addressed by sample.

    Raises UserError when the recording is damaged, or was made from other data or for other mixed samples.
    """
    from safetensors.torch import load_file

    folder = folders[0]
    manifest = checked(folder, asking.data_keys)
    if manifest["kind"] != "mixed-logits":
        raise UserError(f"{folder}: holds no outputs on mixed samples; record --kind mixed-logits")
    if manifest["schedule"] != _schedule(signal, asking).digest(asking.training_set.example_ids):
        raise UserError(
            f"{folder}: recorded for other mixed samples; rows, epochs, batch size and mixup must be those of the "
            "student; record again"
        )
    return StoredTeacher(load_file(folder / FILE)["logits"])


def live(signal: MixedSignal, asking: Asking) -> "LiveMixedTeacher":
    """A teacher that computes each batch when it is asked for."""
    schedule, encodings = _schedule(signal, asking), asking.encodings()
    return LiveMixedTeacher(asking.model(), encodings, schedule, token_types=signal.mixup.token_types)


def _schedule(signal: MixedSignal, asking: Asking) -> Schedule:
    return make_schedule(asking.training_set.text_lengths, signal.mixup, signal.settled)


class LiveMixedTeacher(RunningTeacher):
    """A teacher that reads mixed samples in the batches of a recording."""

    def __init__(self, model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, *, token_types: str) -> None:
        super().__init__(model)
        self.encodings, self.schedule, self.token_types = encodings, schedule, token_types
        self.batch_of = {sample: batch for batch in schedule.batches for sample in batch}
        self.batch: Batch = []
        self.logits = torch.empty(0)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of samples of one batch, which goes through the teacher whole: parts would round differently."""
        batch = self.batch_of[samples[0]]
        if batch is not self.batch:
            self.batch = batch
            self.logits = self.logits_of(batch)
            self.forwards += len(batch)
        place = {sample: number for number, sample in enumerate(batch)}
        return Outputs(self.logits[[place[sample] for sample in samples]])

    @torch.no_grad()
    def logits_of(self, batch: Batch) -> Tensor:
        """Logits (M, C) on a batch, through the teacher's own embeddings and on its device."""
        with torch.autocast(self.model.device.type, enabled=False):
            mixtures = self.schedule.mixtures.take(batch)
            inputs = mixed_inputs(self.model, self.encodings, mixtures, token_types=self.token_types)
            return forward(self.model, inputs, states=False).logits
