"""Checks of recordings, their alignment to a student's training rows, and teachers that run instead."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.training.objective import Sizes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILE = "train.safetensors"
LABEL = "asking the teacher"


def checked(folder: Path, data_keys: Collection[str]) -> dict[str, Any]:
    """Manifest of a complete recording.

    Raises UserError when the recording is damaged, or was made from other data.
    """
    verified(folder, stage="record")
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    recorded = manifest["data_key"]
    if recorded not in data_keys:
        wanted = " and ".join(data_keys)
        raise UserError(
            f"{folder}: recorded on data {recorded}, but this student trains on data {wanted}; record again"
        )
    return manifest


def positions_of(folder: Path, recorded: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions of ids among the recorded ones. Raises UserError when an id was not recorded."""
    order = np.argsort(recorded, kind="stable")
    found = np.searchsorted(recorded[order], wanted).clip(max=len(recorded) - 1)
    positions = order[found]
    missing = np.flatnonzero(recorded[positions] != wanted)
    if len(missing):
        row, count = missing[0] + 1, len(missing)
        raise UserError(f"{folder}: no recorded output for training row {row} ({count} missing); record again")
    return positions


class RunningTeacher:
    """A teacher that runs within its student's job, in evaluation mode and without gradients."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model.eval().requires_grad_(False)
        self.forwards = 0  # samples that went through the teacher

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of token states: none, where only logits are computed."""
        return None

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)
