"""Stage `record`: run a teacher once over training rows or mixed samples and keep its outputs for every student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.core.artefacts import trained_model, write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.plan.recipes import mixed_recipe, record_recipe, view_recipe
from distilgrid.signals.files import FILE
from distilgrid.signals.mixed.mixing import make_schedule
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.signals.teacher import all_mixed_logits, all_view_logits, teacher_outputs
from distilgrid.tasks.augmented import open_augmented
from distilgrid.tasks.batching import Samples
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.kinds.image.settings import Views
from distilgrid.tasks.tokens import tokenised
from distilgrid.training.settings import Training
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
    """Write the teacher's logits (fp32) on the training rows, and on request its states after each layer (fp16) too.

    Args:
        data: prepared data.
        teacher: the fine-tuned teacher.
        kind: `logits`, `cls-states` (of the first token), or `hidden-states` (of all tokens; no padding is kept).
        max_length: of the teacher's inputs, in tokens.
        out: where the artefact goes.
        labels: what `run.json` says about it.
        augmented: rows made of the data, recorded instead of the data's own.
        fraction: share of the training rows; not of augmented ones.
        subset_seed: of that share.

    Raises:
        UserError: when an input is missing or damaged.
    """
    dataset, run = open_dataset(data), trained_model(teacher)
    if kind == "hidden-states" and not dataset.task_kind.tokenised:
        raise UserError(f"--kind hidden-states: task '{dataset.task}' is made of images; take logits")
    added = open_augmented(augmented, dataset=dataset) if augmented else None
    key, share = (dataset.key, fraction) if added is None else (added.key, 1.0)
    recipe = record_recipe(kind=kind, max_length=max_length, data=key, teacher=run["key"], fraction=share)
    with writing(out, recipe=recipe, labels=labels) as folder:
        tokenizer = load_tokenizer(teacher) if dataset.task_kind.tokenised else None
        samples: Samples
        if added is None:
            rows = TrainingSet(dataset, fraction, subset_seed)
            ids, samples = rows.example_ids, rows.samples(tokenizer, max_length=max_length)
        else:
            assert tokenizer is not None, "images are not augmented beforehand"
            ids = added.split("train")["example_id"].to_numpy()
            samples = tokenised(added, "train", tokenizer=tokenizer, max_length=max_length)
        wanted = {"states": kind == "cls-states", "tokens": kind == "hidden-states"}
        outputs = teacher_outputs(load_model(teacher), samples, **wanted)
        tensors = {"example_ids": torch.from_numpy(ids.copy()), "logits": outputs.logits}
        if outputs.cls_states is not None:
            tensors["cls_states"] = outputs.cls_states
        if outputs.token_states is not None:
            lengths = torch.from_numpy(samples.lengths.copy())
            tensors |= {"token_states": outputs.token_states, "lengths": lengths}
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
    run, augmented = trained_model(teacher), training_set.augmented
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


def record_views(
    *, training_set: TrainingSet, teacher: Path, views: Views, epochs: int, out: Path, labels: Mapping[str, Any]
) -> None:
    """Write the teacher's logits (fp32) on all training images as they are seen in each epoch: (E, N, C).

    Args:
        training_set: the images.
        teacher: the trained teacher, or an assistant.
        views: how they are drawn.
        epochs: E.
        out: where the artefact goes.
        labels: what `run.json` says about it.

    Raises:
        UserError: when an input is missing or damaged, or the task is not made of images.
    """
    run, dataset = trained_model(teacher), training_set.dataset
    seen = training_set.views(views)
    if seen is None:
        made = dataset.task_kind.words.rows
        raise UserError(f"--kind view-logits: task '{dataset.task}' is made of {made}; take logits")
    inputs = {"data": dataset.key, "teacher-dir": run["key"]}
    recipe = view_recipe(views=views, epochs=epochs, fraction=training_set.fraction, inputs=inputs)
    with writing(out, recipe=recipe, labels=labels) as folder:
        logits = all_view_logits(load_model(teacher), seen, epochs=epochs)
        manifest = {"kind": "view-logits", "data_key": dataset.key, "views": views.model_dump(), "epochs": epochs}
        tensors = {"example_ids": torch.from_numpy(training_set.example_ids.copy()), "logits": logits}
        _write(folder, tensors, manifest, run)


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
