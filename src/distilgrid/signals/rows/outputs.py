"""A teacher's outputs on training rows: asked, recorded, opened, or from a teacher that runs live."""

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import Asking
from distilgrid.signals.recorded import FILE, LABEL, checked, positions_of
from distilgrid.tasks.batching import Samples, evaluation_batches
from distilgrid.tasks.tokens import tokenised
from distilgrid.training.forward import forward
from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.teacher import StoredTeacher
from distilgrid.training.token_states import TokenStates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KINDS = ("logits", "cls-states", "hidden-states")


def record_rows(kind: str, asking: Asking) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Outputs on the chosen rows, or on all augmented ones instead, where there are any.

    Raises UserError for hidden states of images.
    """
    training_set = asking.training_set
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


def open_recorded(
    folders: Sequence[Path],
    *,
    wanted: str,
    example_ids: np.ndarray,
    data_keys: Collection[str],
) -> StoredTeacher:
    """Recorded outputs on training rows, addressed by their example ids.

    Args:
        folders: teacher-outputs artefacts: of the prepared rows, and of augmented ones.
        wanted: `logits`, or these with `cls-states` or `hidden-states`.
        example_ids: (N,) ids of the training rows, in the student's order.
        data_keys: recipe keys of the data and the augmented rows that the student trains on.

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
    if kind not in KINDS or (wanted != "logits" and kind != wanted):
        raise UserError(f"{folder}: holds {kind} only, but this method needs {wanted}; record --kind {wanted}")
    tensors: dict[str, Tensor] = load_file(folder / FILE)
    return tensors


def _joined(parts: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    tensors = [part[name] for part in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)  # states are large: no copy without need


class LiveTeacher:
    """A teacher that reads the training rows through its own tokeniser, all of them when the first are asked for.

    The rows are the same in each epoch, so that asking once gives what asking each time would.
    """

    def __init__(self, model: "PreTrainedModel", encodings: Samples, *, wanted: str) -> None:
        self.model, self.encodings = model.eval().requires_grad_(False), encodings
        self.states, self.tokens = wanted == "cls-states", wanted == "hidden-states"

    @cached_property
    def stored(self) -> StoredTeacher:
        """The outputs."""
        outputs = teacher_outputs(self.model, self.encodings, states=self.states, tokens=self.tokens)
        kept = outputs.token_states
        tokens = None if kept is None else TokenStates.packed(kept, torch.from_numpy(self.encodings.lengths))
        return StoredTeacher(outputs.logits, outputs.cls_states, tokens)

    @property
    def sizes(self) -> Sizes | None:
        """Of the token states, before any is computed."""
        config = self.model.config
        return Sizes(config.num_hidden_layers, config.hidden_size) if self.tokens else None

    @property
    def forwards(self) -> int:
        """Rows that went through."""
        return len(self.encodings) if "stored" in self.__dict__ else 0

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """The outputs, computed if they are the first."""
        return self.stored.outputs(samples)


@torch.no_grad()
def teacher_outputs(model: "PreTrainedModel", encodings: Samples, *, states: bool, tokens: bool = False) -> Outputs:
    """A teacher's outputs on all rows, computed in fp32 in the batches of an evaluation.

    Returns:
        On the CPU: logits (N, C), fp32, and on request [CLS] states (N, layers, H) and token states (T, layers, H),
        both fp16.
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
