"""Stage `record`: run a teacher once over training rows or mixed samples and keep its outputs for every student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.artefacts import verified, write_json, writing
from distilgrid.distillation.mixing import make_schedule
from distilgrid.distillation.mixing_settings import Mixup
from distilgrid.distillation.recorded import FILE
from distilgrid.distillation.teacher import all_mixed_logits, teacher_outputs
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.recipes import mixed_recipe, record_recipe
from distilgrid.tasks.augmented import open_augmented
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.settings import Training
from distilgrid.training.tokens import tokenised
from distilgrid.training.training_set import TrainingSet


def record(
    *,
    data: Path,
    teacher: Path,
    kind: str,
    max_length: int,
    out: Path,
    labels: Mapping[str, Any],
    augmented: Path | None = None,
    fraction: float = 1.0,
    subset_seed: int = 0,
) -> None:
    """Write the teacher's logits (fp32) on the training rows, and for `cls-states` its [CLS] states (fp16) too.

    Args:
        data: prepared data.
        teacher: the fine-tuned teacher.
        kind: `logits` or `cls-states`.
        max_length: of the teacher's inputs, in tokens.
        out: where the artefact goes.
        labels: what `run.json` says about it.
        augmented: rows made of the data, recorded instead of the data's own.
        fraction: share of the training rows; not of augmented ones.
        subset_seed: of that share.

    Raises:
        UserError: when an input is missing or damaged.
    """
    dataset, run = open_dataset(data), verified(teacher, stage="finetune")
    added = open_augmented(augmented, dataset=dataset) if augmented else None
    key, share = (dataset.key, fraction) if added is None else (added.key, 1.0)
    recipe = record_recipe(kind=kind, max_length=max_length, data=key, teacher=run["key"], fraction=share)
    with writing(out, recipe=recipe, labels=labels) as folder:
        if added is None:
            rows = TrainingSet(dataset, fraction, subset_seed)
            ids, encodings = rows.example_ids, rows.encodings(load_tokenizer(teacher), max_length=max_length)
        else:
            ids = added.split("train")["example_id"].to_numpy()
            encodings = tokenised(added, "train", tokenizer=load_tokenizer(teacher), max_length=max_length)
        outputs = teacher_outputs(load_model(teacher), encodings, states=kind == "cls-states")
        tensors = {"example_ids": torch.from_numpy(ids.copy()), "logits": outputs.logits}
        if outputs.cls_states is not None:
            tensors["cls_states"] = outputs.cls_states
        _write(folder, tensors, {"kind": kind, "data_key": key}, run)


def record_mixed(
    *,
    training_set: TrainingSet,
    teacher: Path,
    mixup: Mixup,
    training: Training,
    max_length: int,
    out: Path,
    labels: Mapping[str, Any],
) -> None:
    """Write the teacher's logits (fp32) on all mixed samples of a run.

    Args:
        training_set: the students' rows.
        teacher: the fine-tuned teacher.
        mixup: the mixing.
        training: the students' epochs, batch size and batching.
        max_length: of the teacher's inputs, in tokens.
        out: where the artefact goes.
        labels: what `run.json` says about it.

    Raises:
        UserError: when an input is missing or damaged, or the rows cannot be mixed.
    """
    run, augmented = verified(teacher, stage="finetune"), training_set.augmented
    inputs = {"data": training_set.dataset.key, "teacher-dir": run["key"]}
    inputs |= {"augmented": augmented.key} if augmented else {}
    fraction = training_set.fraction
    recipe = mixed_recipe(mixup=mixup, training=training, max_length=max_length, fraction=fraction, inputs=inputs)
    with writing(out, recipe=recipe, labels=labels) as folder:
        schedule = make_schedule(training_set.text_lengths, mixup, training)
        encodings = training_set.encodings(load_tokenizer(teacher), max_length=max_length)
        logits = all_mixed_logits(load_model(teacher), encodings, schedule, token_types=mixup.token_types)
        manifest = {
            "kind": "mixed-logits",
            "data_key": training_set.dataset.key,
            "schedule": schedule.digest(training_set.example_ids),
        }
        _write(folder, {"logits": logits, "weights": torch.from_numpy(schedule.mixtures.weight)}, manifest, run)


def _write(folder: Path, tensors: dict[str, torch.Tensor], manifest: dict[str, Any], teacher: dict[str, Any]) -> None:
    """The outputs, and what they are, of what: readers compare it with what they hold."""
    from safetensors.torch import save_file

    logits = tensors["logits"]
    save_file(tensors, folder / FILE)
    facts = {
        "teacher_key": teacher["key"],
        "teacher_weights_sha256": teacher["files"]["model.safetensors"],
        "tokenizer_sha256": teacher["files"]["tokenizer.json"],
        "rows": len(logits),
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "teacher_forwards": len(logits),
    }
    write_json(folder / "manifest.json", manifest | facts)
