"""Stage `augment`: new training rows made of the old ones, with copied labels or a teacher's."""

from typing import TYPE_CHECKING

import torch

from distilgrid.augmentation.base import Augmented, RowContext, Surroundings
from distilgrid.augmentation.rows import samples
from distilgrid.core.artefacts import STATE, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.models.facts import check_loaded
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.signals.row_recording import teacher_outputs
from distilgrid.stages.augment.declare import AugmentSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.batching import Tokenizer, encode
from distilgrid.tasks.dataset import Dataset, open_dataset, texts
from distilgrid.training.placement import placement_of
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel


def augment(settings: AugmentSettings, job: Job) -> int:
    """Write the new rows, and some of them with their originals; returns the number of new rows.

    Raises:
        UserError: when no row is new.
    """
    data, own, teacher = job.given("data").folder, settings.augmentation, job.folder_of("teacher-dir")
    dataset = open_dataset(data)
    rows = TrainingSet(dataset, settings.fraction).chosen
    device = placement_of(job.execution).device if own.runs_model else torch.device("cpu")
    surroundings = Surroundings(teacher=teacher, journal=job.out / STATE, device=device.type)
    found: Augmented = load(own.row_source)(own, RowContext(dataset, rows, surroundings, settings.pool))
    frame = found.frame
    if frame.empty:
        raise UserError(f"{data}: {own.nothing_new}")
    if own.labels == "teacher" and teacher is not None:
        frame = _labelled(frame, dataset, load_model(teacher).to(device), load_tokenizer(teacher), settings.max_length)
    frame.to_parquet(job.folder / "train.parquet", index=False, compression="zstd")
    counts = {"rows": len(frame)} | {name: getattr(found, name) for name in ("unchanged", "repeated", "scored", "near")}
    write_json(job.folder / "samples.json", {**counts, "samples": samples(rows, frame)})
    return len(frame)


def _labelled(
    frame: "pd.DataFrame", dataset: Dataset, teacher: "PreTrainedModel", tokenizer: Tokenizer, max_length: int
) -> "pd.DataFrame":
    """The rows with the teacher's labels, computed on its device."""
    check_loaded(teacher, tokenizer, max_length)
    encodings = encode(tokenizer, *texts(frame), max_length=max_length)
    outputs = teacher_outputs(teacher, encodings, kind=dataset.task_kind).logits
    return dataset.task_kind.batch().relabelled(frame, outputs)
