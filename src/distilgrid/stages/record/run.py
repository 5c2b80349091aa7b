"""Stage `record`: run a teacher once and keep its outputs for every student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.core.artefacts import write_json
from distilgrid.signals.asking import FILE, Asking
from distilgrid.stages.job import Job
from distilgrid.stages.record.declare import RecordSettings
from distilgrid.tasks.dataset import open_augmented, open_dataset
from distilgrid.training.training_set import TrainingSet


def record(settings: RecordSettings, job: Job) -> None:
    """Write a teacher's outputs."""
    dataset, folder = open_dataset(job.given("data").folder), job.folder_of("augmented")
    added = open_augmented(folder, dataset=dataset) if folder else None
    teacher = job.given("teacher-dir")
    rows = TrainingSet(dataset, settings.fraction, settings.subset_seed, added)
    asking = Asking(rows, settings.max_length, teacher.folder)
    _write(job.folder, *settings.signal.teacher(asking).record(), teacher.run)


def _write(
    folder: Path, tensors: dict[str, torch.Tensor], manifest: dict[str, Any], teacher: Mapping[str, Any]
) -> None:
    """Write the outputs with the facts that readers compare with their own."""
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
