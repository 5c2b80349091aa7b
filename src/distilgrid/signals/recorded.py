"""Reading recordings: whole, made for the same data, and aligned to a student's training rows by content."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError

FILE = "train.safetensors"
LABEL = "asking the teacher"


def checked(folder: Path, data_keys: Collection[str]) -> dict[str, Any]:
    """The manifest of a whole recording for some data.

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
    """Where ids lie among the recorded ones. Raises UserError when an id was not recorded."""
    order = np.argsort(recorded, kind="stable")
    found = np.searchsorted(recorded[order], wanted).clip(max=len(recorded) - 1)
    positions = order[found]
    missing = np.flatnonzero(recorded[positions] != wanted)
    if len(missing):
        row, count = missing[0] + 1, len(missing)
        raise UserError(f"{folder}: no recorded output for training row {row} ({count} missing); record again")
    return positions
