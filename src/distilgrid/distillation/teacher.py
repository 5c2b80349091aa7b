"""Where a method's teacher outputs come from: recorded files, or a live model. Both count its forward passes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from distilgrid.artefacts import read_json, verified
from distilgrid.distillation.forward import forward
from distilgrid.distillation.objective import Outputs
from distilgrid.errors import UserError
from distilgrid.training.batching import Encodings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TeacherOutputs(Protocol):
    """Teacher outputs by training row; `forwards` counts the rows that went through a live teacher."""

    forwards: int

    def outputs(self, rows: Sequence[int]) -> Outputs:
        """The teacher's outputs on some training rows, in their order."""
        ...

    def move(self, device: torch.device) -> None:
        """Compute, or keep, outputs on a device."""
        ...


class LiveTeacher:
    """A teacher that reads the rows through its own tokeniser, in evaluation mode and without gradients."""

    def __init__(self, model: "PreTrainedModel", encodings: Encodings, *, states: bool) -> None:
        self.model, self.encodings, self.states = model.eval().requires_grad_(False), encodings, states
        self.forwards = 0

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, rows: Sequence[int]) -> Outputs:
        """Outputs computed now."""
        self.forwards += len(rows)
        with torch.no_grad(), torch.autocast(self.model.device.type, enabled=False):
            return forward(self.model, self.encodings.batch(rows), states=self.states)


class RecordedTeacher:
    """Outputs read from a recording, addressed by example id, held in memory."""

    def __init__(self, logits: Tensor, cls_states: Tensor | None) -> None:
        self.logits, self.cls_states = logits, cls_states  # (N, C), (N, layers, H) or None
        self.forwards = 0

    def move(self, device: torch.device) -> None:
        """Keep the logits on a device; the states stay in memory and go there batch by batch."""
        self.logits = self.logits.to(device)

    def outputs(self, rows: Sequence[int]) -> Outputs:
        """Outputs looked up; no teacher runs."""
        index = torch.as_tensor(rows)
        states = None if self.cls_states is None else self.cls_states[index].float()
        return Outputs(self.logits[index], states)


def open_recorded(folder: Path, *, example_ids: np.ndarray, data_key: str, states: bool) -> RecordedTeacher:
    """A verified recording, aligned to training rows by their example ids.

    Args:
        folder: the teacher-outputs artefact.
        example_ids: (N,) ids of the training rows, in the student's order.
        data_key: recipe key of the data the student trains on.
        states: whether [CLS] states are needed.

    Raises:
        UserError: when the recording is damaged, was made from other data, or lacks rows or states.
    """
    from safetensors.torch import load_file

    run = verified(folder, stage="record")
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    if manifest["data_key"] != data_key:
        recorded = manifest["data_key"]
        raise UserError(
            f"{folder}: recorded on data {recorded}, but this student trains on data {data_key}; record again"
        )
    if states and run["recipe"]["kind"] != "cls-states":
        raise UserError(f"{folder}: holds logits only, but this method needs cls-states; record --kind cls-states")
    tensors = load_file(folder / "train.safetensors")
    rows = torch.from_numpy(_positions(folder, tensors["example_ids"].numpy(), example_ids))
    return RecordedTeacher(tensors["logits"][rows], tensors["cls_states"][rows] if states else None)


def _positions(folder: Path, recorded: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(recorded, kind="stable")
    found = np.searchsorted(recorded[order], wanted).clip(max=len(recorded) - 1)
    positions = order[found]
    missing = np.flatnonzero(recorded[positions] != wanted)
    if len(missing):
        row, count = missing[0] + 1, len(missing)
        raise UserError(f"{folder}: no recorded output for training row {row} ({count} missing); record again")
    return positions
