"""Outputs of a teacher on training rows: recorded, opened, or computed live."""

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import Asking
from distilgrid.signals.recorded import FILE, LABEL, RunningTeacher, checked, positions_of
from distilgrid.signals.rows.plan import RowName, RowSignal
from distilgrid.tasks.batching import Samples, evaluation_batches, tokenised
from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.predictor import forward
from distilgrid.training.teacher import StoredTeacher, TokenStates

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def record(signal: RowSignal, asking: Asking) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Logits (fp32) and states (fp16) on the chosen rows, or on all augmented rows where there are any.

    Raises UserError for hidden states of images.
    """
    kind, training_set = signal.name, asking.training_set
    dataset, augmented = training_set.dataset, training_set.augmented
    if kind == "hidden-states" and not dataset.task_kind.tokenised:
        made = dataset.task_kind.words.rows
        raise UserError(f"--kind hidden-states: task '{dataset.task}' is made of {made}; take logits")
    if augmented is None:
        ids, samples = training_set.example_ids, asking.samples()
    else:
        tokenizer = asking.tokenizer()
        assert tokenizer is not None, "images are not augmented beforehand"
        ids = augmented.split("train")["example_id"].to_numpy()
        samples = tokenised(augmented, "train", tokenizer=tokenizer, max_length=asking.max_length)
    outputs = teacher_outputs(asking.model(), samples, states=kind == "cls-states", tokens=kind == "hidden-states")
    tensors = {"example_ids": torch.from_numpy(ids.copy()), "logits": outputs.logits}
    if outputs.cls_states is not None:
        tensors["cls_states"] = outputs.cls_states
    if outputs.token_states is not None:
        tensors |= {"token_states": outputs.token_states, "lengths": torch.from_numpy(samples.lengths.copy())}
    return tensors, {"kind": kind, "data_key": (augmented or dataset).key}


def opened(signal: RowSignal, folders: Sequence[Path], asking: Asking) -> StoredTeacher:
    """Recorded outputs, addressed by row."""
    ids, keys = asking.training_set.example_ids, asking.data_keys
    return open_recorded(folders, wanted=signal.name, example_ids=ids, data_keys=keys)


def live(signal: RowSignal, asking: Asking) -> "LiveTeacher":
    """A teacher that computes all rows at once, when the first are asked for."""
    return LiveTeacher(asking.model(), asking.samples(), wanted=signal.name)


def open_recorded(
    folders: Sequence[Path], *, wanted: str, example_ids: np.ndarray, data_keys: Collection[str]
) -> StoredTeacher:
    """Recorded outputs on training rows, addressed by their example ids.

    Args:
        folders: recordings of the prepared rows, and of augmented ones.
        wanted: name of the signal.
        example_ids: (N,) ids of the training rows, in the student's order.
        data_keys: keys of the prepared and the augmented rows.

    Raises:
        UserError: when a recording is damaged, was made from other data, or rows or states are missing.
    """
    parts = [_tensors(folder, data_keys, wanted) for folder in folders]
    found = _joined(parts, "example_ids").numpy()
    rows = torch.from_numpy(positions_of(folders[0], found, example_ids))
    kept = _joined(parts, "cls_states")[rows] if wanted == "cls-states" else None
    packed = None
    if wanted == "hidden-states":
        packed = TokenStates.packed(_joined(parts, "token_states"), _joined(parts, "lengths")).take(rows)
    return StoredTeacher(_joined(parts, "logits")[rows], kept, packed)


def _tensors(folder: Path, data_keys: Collection[str], wanted: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    kind = checked(folder, data_keys)["kind"]
    if kind not in get_args(RowName) or (wanted != "logits" and kind != wanted):
        raise UserError(f"{folder}: holds {kind} only, but this method needs {wanted}; record --kind {wanted}")
    tensors: dict[str, Tensor] = load_file(folder / FILE)
    return tensors


def _joined(parts: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    tensors = [part[name] for part in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)  # states are large: no copy without need


class LiveTeacher(RunningTeacher):
    """A teacher that reads all training rows at once, through its own tokeniser: rows are the same in each epoch."""

    def __init__(self, model: "PreTrainedModel", encodings: Samples, *, wanted: str) -> None:
        super().__init__(model)
        self.encodings = encodings
        self.states, self.tokens = wanted == "cls-states", wanted == "hidden-states"

    @cached_property
    def stored(self) -> StoredTeacher:
        """Outputs on all rows, computed on first use."""
        self.forwards = len(self.encodings)
        outputs = teacher_outputs(self.model, self.encodings, states=self.states, tokens=self.tokens)
        kept = outputs.token_states
        tokens = None if kept is None else TokenStates.packed(kept, torch.from_numpy(self.encodings.lengths))
        return StoredTeacher(outputs.logits, outputs.cls_states, tokens)

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of the token states, before any is computed."""
        config = self.model.config
        return Sizes(config.num_hidden_layers, config.hidden_size) if self.tokens else None

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of some rows."""
        return self.stored.outputs(samples)


@torch.no_grad()
def teacher_outputs(model: "PreTrainedModel", encodings: Samples, *, states: bool, tokens: bool = False) -> Outputs:
    """Outputs of a teacher on all rows, computed in fp32 in the batches of an evaluation and kept on the CPU.

    Logits (N, C) are fp32; [CLS] states (N, layers, H) and token states (T, layers, H) are fp16.
    """
    config = model.config
    logits = torch.empty(len(encodings), config.num_labels)
    shape = (config.num_hidden_layers, config.hidden_size)
    kept = torch.empty((len(encodings), *shape), dtype=torch.float16) if states else None
    lengths = torch.from_numpy(encodings.lengths) if tokens else torch.empty(0, dtype=torch.int64)
    packed = TokenStates.packed(torch.empty((int(lengths.sum()), *shape), dtype=torch.float16), lengths)
    batches = evaluation_batches(encodings.lengths)
    for rows in progress(batches, total=len(batches), label=LABEL):
        with torch.autocast(model.device.type, enabled=False):
            outputs = forward(model, encodings.batch(rows), states=states, tokens=tokens)
        logits[rows] = outputs.logits.cpu()
        if kept is not None and outputs.cls_states is not None:
            kept[rows] = outputs.cls_states.half().cpu()
        if outputs.token_states is not None:
            packed.values[packed.places(rows)] = outputs.token_states.half().cpu()
    return Outputs(logits, kept, packed.values if tokens else None)
