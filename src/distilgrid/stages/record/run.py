"""Stage `record`: run a teacher once and keep its outputs for every student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.core.artefacts import trained_model, write_json, writing
from distilgrid.plan.recipes import record_recipe
from distilgrid.signals.asking import Asking
from distilgrid.signals.base import Asked, Signal
from distilgrid.signals.recorded import FILE
from distilgrid.tasks.augmented import open_augmented
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.training_set import TrainingSet


def record(
    *,
    signal: Signal,
    data: Path,
    teacher: Path,
    max_length: int,
    out: Path,
    labels: Mapping[str, Any],
    augmented: Path | None = None,
    fraction: float = 1.0,
    subset_seed: int = 0,
) -> None:
    """Write a teacher's outputs.

    Args:
        signal: which outputs.
        data: prepared data.
        teacher: the fine-tuned teacher, or an assistant.
        max_length: of the teacher's inputs, in tokens.
        out: where the artefact goes.
        labels: what `run.json` says about it.
        augmented: rows made of the data.
        fraction: share of the training rows.
        subset_seed: of that share.

    Raises:
        UserError: when an input is missing or damaged, or the rows do not suit the signal.
    """
    dataset, run = open_dataset(data), trained_model(teacher)
    inputs = {"data": dataset.key, "teacher-dir": run["key"]}
    added = open_augmented(augmented, dataset=dataset) if augmented else None
    if added is not None:
        inputs["augmented"] = added.key
    recipe = record_recipe(signal, Asked(inputs, fraction, max_length))
    asking = Asking(TrainingSet(dataset, fraction, subset_seed, added), max_length, teacher)
    with writing(out, recipe=recipe, labels=labels) as folder:
        _write(folder, *signal.record(asking), run)


def _write(folder: Path, tensors: dict[str, torch.Tensor], manifest: dict[str, Any], teacher: dict[str, Any]) -> None:
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
