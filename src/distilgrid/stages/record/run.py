"""Stage `record`: run a teacher once over training rows or mixed samples and keep its outputs for every student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.core.artefacts import write_json
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.signals.files import FILE
from distilgrid.signals.mixed.mixing import make_schedule
from distilgrid.signals.teacher import all_mixed_logits, all_view_logits, teacher_outputs
from distilgrid.stages.job import Job
from distilgrid.stages.record.declare import RecordSettings
from distilgrid.tasks.augmented import AugmentedRows, open_augmented
from distilgrid.tasks.batching import Samples
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.tokens import tokenised
from distilgrid.training.training_set import TrainingSet

Tensors = dict[str, torch.Tensor]
Recorded = tuple[Tensors, dict[str, Any]]
"""The outputs, and what the manifest says about them."""


def record(settings: RecordSettings, job: Job) -> None:
    """Write a teacher's outputs: on training rows, on mixed samples of them, or on views of images.

    Raises:
        UserError: when an input is missing or damaged, or the kind does not suit the task.
    """
    dataset, folder = open_dataset(job.given("data").folder), job.folder_of("augmented")
    if dataset.image and settings.kind == "hidden-states":
        raise UserError(f"--kind hidden-states: task '{dataset.task}' is made of images; take logits")
    if not dataset.image and settings.kind == "view-logits":
        raise UserError(f"--kind view-logits: task '{dataset.task}' is made of texts; take logits")
    augmented = open_augmented(folder, dataset=dataset) if folder else None
    if settings.kind == "mixed-logits":
        rows = TrainingSet(dataset, settings.fraction, settings.subset_seed, augmented)
        tensors, manifest = _mixed(settings, job, rows)
    elif settings.kind == "view-logits":
        tensors, manifest = _views(settings, job, TrainingSet(dataset, settings.fraction, settings.subset_seed))
    else:
        tensors, manifest = _plain(settings, job, dataset, augmented)
    _write(job.folder, tensors, {"kind": settings.kind, **manifest}, job.given("teacher-dir").run)


def _plain(settings: RecordSettings, job: Job, dataset: Dataset, augmented: AugmentedRows | None) -> Recorded:
    """Logits (fp32) on the rows, or on augmented ones instead; on request states after each layer (fp16), too."""
    teacher, length = job.given("teacher-dir").folder, settings.max_length
    tokenizer = None if dataset.image else load_tokenizer(teacher)
    samples: Samples
    if augmented is None:
        rows = TrainingSet(dataset, settings.fraction, settings.subset_seed)
        ids, samples = rows.example_ids, rows.samples(tokenizer, max_length=length)
    else:
        assert tokenizer is not None, "images are not augmented beforehand"
        ids = augmented.split("train")["example_id"].to_numpy()
        samples = tokenised(augmented, "train", tokenizer=tokenizer, max_length=length)
    wanted = {"states": settings.kind == "cls-states", "tokens": settings.kind == "hidden-states"}
    outputs = teacher_outputs(load_model(teacher), samples, **wanted)
    tensors = {"example_ids": torch.from_numpy(ids.copy()), "logits": outputs.logits}
    if outputs.cls_states is not None:
        tensors["cls_states"] = outputs.cls_states
    if outputs.token_states is not None:
        lengths = torch.from_numpy(samples.lengths.copy())
        tensors |= {"token_states": outputs.token_states, "lengths": lengths}
    return tensors, {"data_key": (augmented or dataset).key}


def _mixed(settings: RecordSettings, job: Job, rows: TrainingSet) -> Recorded:
    """Logits (fp32) on all mixed samples of a run."""
    assert settings.mixup is not None and settings.training is not None
    teacher, mixup = job.given("teacher-dir").folder, settings.mixup
    schedule = make_schedule(rows.text_lengths, mixup, settings.training)
    encodings = rows.encodings(load_tokenizer(teacher), max_length=settings.max_length)
    logits = all_mixed_logits(load_model(teacher), encodings, schedule, token_types=mixup.token_types)
    tensors = {"logits": logits, "weights": torch.from_numpy(schedule.mixtures.weight)}
    return tensors, {"data_key": rows.dataset.key, "schedule": schedule.digest(rows.example_ids)}


def _views(settings: RecordSettings, job: Job, rows: TrainingSet) -> Recorded:
    """Logits (fp32) on all training images as they are seen in each epoch: (E, N, C)."""
    assert settings.views is not None
    model, epochs = load_model(job.given("teacher-dir").folder), settings.epochs
    logits = all_view_logits(model, rows.views(settings.views), epochs=epochs)
    tensors = {"example_ids": torch.from_numpy(rows.example_ids.copy()), "logits": logits}
    return tensors, {"data_key": rows.dataset.key, "views": settings.views.model_dump(), "epochs": epochs}


def _write(folder: Path, tensors: Tensors, manifest: dict[str, Any], teacher: Mapping[str, Any]) -> None:
    """The outputs, and what they are, of what: readers compare it with what they hold."""
    from safetensors.torch import save_file

    save_file(tensors, folder / FILE)
    asked = tensors["logits"].shape[:-1].numel()
    facts = {
        "teacher_key": teacher["key"],
        "teacher_weights_sha256": teacher["files"]["model.safetensors"],
        "tokenizer_sha256": teacher["files"].get("tokenizer.json"),
        "rows": asked,
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "teacher_forwards": asked,
    }
    write_json(folder / "manifest.json", manifest | facts)
