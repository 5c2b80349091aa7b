"""Stage `augment`: new training rows made of the old ones, with copied labels or a teacher's."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distilgrid.augmentation.registry import build_augmenter
from distilgrid.augmentation.rows import Augmented, augmented_rows, samples
from distilgrid.augmentation.settings import Augmentation, Unlabelled
from distilgrid.augmentation.unlabelled import unlabelled_rows
from distilgrid.core.artefacts import STATE, write_json
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.signals.rows.outputs import teacher_outputs
from distilgrid.stages.augment.declare import AugmentSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.batching import encode
from distilgrid.tasks.dataset import Dataset, open_dataset, texts
from distilgrid.training.training_set import chosen_rows

if TYPE_CHECKING:
    import pandas as pd


def augment(settings: AugmentSettings, job: Job) -> int:
    """Write the new rows, and some of them with their originals; returns how many there are.

    Raises:
        UserError: when an input is damaged, or no new row came out.
    """
    dataset, own, teacher = open_dataset(job.given("data").folder), settings.augmentation, job.folder_of("teacher-dir")
    rows = chosen_rows(dataset, fraction=settings.fraction, subset_seed=settings.subset_seed)
    found = _made(settings, job, dataset, rows)
    frame = found.frame
    if frame.empty:
        raise UserError(f"{job.given('data').folder}: {_nothing_new(own)}")
    if own.labels == "teacher" and teacher is not None:
        frame = _labelled(frame, dataset, teacher, settings.max_length)
    frame.to_parquet(job.folder / "train.parquet", index=False, compression="zstd")
    counts = {"rows": len(frame), "unchanged": found.unchanged, "repeated": found.repeated}
    write_json(job.folder / "samples.json", {**counts, "samples": samples(rows, frame)})
    return len(frame)


def _made(settings: AugmentSettings, job: Job, dataset: Dataset, rows: "pd.DataFrame") -> Augmented:
    """New rows, from a pool of texts or by rewriting."""
    own = settings.augmentation
    if isinstance(own, Unlabelled):
        assert settings.pool is not None, "unlabelled texts come from a pool"
        return unlabelled_rows(dataset, settings.pool.read(), own)
    teacher, device = job.folder_of("teacher-dir"), job.execution.device
    augmenter = build_augmenter(own, teacher=teacher, journal=job.out / STATE, device=device)
    return augmented_rows(rows, augmenter, own)


def _nothing_new(settings: Augmentation) -> str:
    if isinstance(settings, Unlabelled):
        return f"holds all rows of {', '.join(settings.texts)} already; name other texts"
    return f"the augmentation '{settings.kind}' changed no row; raise its strength"


def _labelled(frame: "pd.DataFrame", dataset: Dataset, teacher: Path, max_length: int) -> "pd.DataFrame":
    """The rows with the teacher's labels: a column `probabilities`, or its number in place of a regression's label.

    A row without an origin has no label of its own and takes the likeliest one.
    """
    encodings = encode(load_tokenizer(teacher), *texts(frame), max_length=max_length)
    logits = teacher_outputs(load_model(teacher), encodings, states=False).logits
    if dataset.regression:
        return frame.assign(label=logits[:, 0].double().numpy())
    named = frame["label"].where(frame["origin_id"].notna(), logits.argmax(dim=-1).numpy())
    return frame.assign(label=named, probabilities=torch.softmax(logits, dim=-1).tolist())
