"""Stage `record`: run a teacher once over the training rows and keep its outputs for every student."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distilgrid.artefacts import verified, write_json, writing
from distilgrid.distillation.forward import forward
from distilgrid.distillation.objective import Outputs
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.progress import progress
from distilgrid.recipes import record_recipe
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.batching import Encodings, evaluation_batches
from distilgrid.training.tokens import tokenised

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def record(*, data: Path, teacher: Path, kind: str, max_length: int, out: Path, labels: Mapping[str, Any]) -> None:
    """Write the teacher's logits (fp32) on every training row, and for `cls-states` its [CLS] states (fp16) too.

    Raises:
        UserError: when the data or the teacher is missing or damaged.
    """
    from safetensors.torch import save_file

    dataset, run = open_dataset(data), verified(teacher, stage="finetune")
    recipe = record_recipe(kind=kind, max_length=max_length, data=dataset.key, teacher=run["key"])
    with writing(out, recipe=recipe, labels=labels) as folder:
        rows = dataset.split("train")
        encodings = tokenised(dataset, "train", tokenizer=load_tokenizer(teacher), max_length=max_length)
        outputs = _outputs(load_model(teacher), encodings, states=kind == "cls-states")
        tensors = {"example_ids": torch.from_numpy(rows["example_id"].to_numpy().copy()), "logits": outputs.logits}
        if outputs.cls_states is not None:
            tensors["cls_states"] = outputs.cls_states
        save_file(tensors, folder / "train.safetensors")
        write_json(folder / "manifest.json", _manifest(kind, dataset.key, run, tensors))


@torch.inference_mode()
def _outputs(model: "PreTrainedModel", encodings: Encodings, *, states: bool) -> Outputs:
    config = model.config
    logits = torch.empty(len(encodings), config.num_labels)
    shape = (len(encodings), config.num_hidden_layers, config.hidden_size)
    kept = torch.empty(shape, dtype=torch.float16) if states else None
    batches = evaluation_batches(encodings.lengths)
    for rows in progress(batches, total=len(batches), label="recording the teacher"):
        outputs = forward(model, encodings.batch(rows), states=states)
        logits[rows] = outputs.logits
        if kept is not None and outputs.cls_states is not None:
            kept[rows] = outputs.cls_states.half()
    return Outputs(logits, kept)


def _manifest(kind: str, data_key: str, teacher: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What was recorded, from what; readers compare it with what they hold."""
    return {
        "kind": kind,
        "data_key": data_key,
        "teacher_key": teacher["key"],
        "teacher_weights_sha256": teacher["files"]["model.safetensors"],
        "tokenizer_sha256": teacher["files"]["tokenizer.json"],
        "rows": len(tensors["logits"]),
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "teacher_forwards": len(tensors["logits"]),
    }
