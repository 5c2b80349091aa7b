"""Answers of a teacher on rows, written to a file as they are computed. Students of recordings never load this."""

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.signals.asking import FILE, AskedTeacher, Manifest, answer
from distilgrid.signals.keeping import Keeping, Slots, logits_slots
from distilgrid.signals.tensor_file import tensors_of
from distilgrid.tasks.batching import Batch, Encodings, Samples, evaluation_batches
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.checkpoint import NOWHERE
from distilgrid.training.objective import Outputs
from distilgrid.training.teacher import StoredTeacher, TokenStates

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def record(teacher: AskedTeacher, file: Keeping) -> Manifest:
    """Write outputs on the chosen rows, or on all augmented rows. Raises UserError for hidden states of images."""
    kind, dataset, augmented = teacher.signal.name, teacher.rows.dataset, teacher.rows.augmented
    if kind == "hidden-states" and not dataset.task_kind.tokenised:
        raise teacher.misfit("take logits")
    if augmented is None:
        ids, samples = teacher.rows.example_ids, teacher.asking.samples
    else:
        ids = augmented.split("train")["example_id"].to_numpy()
        tokenizer, longest = teacher.asking.tokenizer, teacher.asking.max_length
        samples = dataset.task_kind.batch().samples(augmented, "train", tokenizer=tokenizer, max_length=longest)
    _write(teacher, samples, file, example_ids=torch.from_numpy(ids.copy()))
    return {"kind": kind, "data_key": (augmented or dataset).key}


def computed(teacher: AskedTeacher, samples: Samples) -> StoredTeacher:
    """Outputs on all samples; states lie in a temporary file, whose name is gone."""
    with tempfile.TemporaryDirectory(prefix="distilgrid-") as folder:
        path = Path(folder) / FILE
        _write(teacher, samples, Keeping(path, NOWHERE))
        kept = tensors_of(path)
    packed = TokenStates.packed(kept["token_states"], kept["lengths"].whole()) if "token_states" in kept else None
    return StoredTeacher(kept["logits"].whole(), kept.get("cls_states"), packed)


def _write(teacher: AskedTeacher, samples: Samples, file: Keeping, **content: Tensor | Slots) -> None:
    kind, config = teacher.signal.name, teacher.model.config
    content["logits"] = logits_slots(teacher.rows.dataset.task_kind, teacher.model, len(samples))
    if kind == "cls-states":
        content["cls_states"] = Slots(torch.float16, (len(samples),), (config.num_hidden_layers, config.hidden_size))
    if kind == "hidden-states":
        assert isinstance(samples, Encodings), "hidden states are those of tokens"
        tokens, lengths = torch.from_numpy(samples.tokens.copy()), torch.from_numpy(samples.lengths)
        state, places = (config.num_hidden_layers, config.hidden_size), TokenStates.packed(tokens, lengths).places
        states = Slots(torch.float16, (len(tokens),), state, places)
        content |= {"token_states": states, "tokens": tokens, "lengths": lengths}
    file.fill(content, evaluation_batches(samples.lengths), partial(_answers, teacher, samples))


def _answers(teacher: AskedTeacher, samples: Samples, batch: Batch) -> dict[str, Tensor]:
    kind = teacher.signal.name
    found = answer(teacher.model, samples.batch(batch), states=kind == "cls-states", tokens=kind == "hidden-states")
    named = {"logits": found.logits, "cls_states": found.cls_states, "token_states": found.token_states}
    return {name: rows.cpu() for name, rows in named.items() if rows is not None}


def teacher_outputs(model: "PreTrainedModel", encodings: Samples, *, kind: TaskKind) -> Outputs:
    """Logits (N, ...) of a teacher on all rows, computed in fp32 in the batches of an evaluation, on the CPU."""
    logits = torch.from_numpy(kind.predict().allocate(len(encodings), model.config))
    for rows in evaluation_batches(encodings.lengths):
        logits[rows] = answer(model, encodings.batch(rows)).logits.cpu()
    return Outputs(logits)
