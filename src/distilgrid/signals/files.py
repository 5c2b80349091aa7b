"""Reading recorded teacher outputs: verified, made for the same data, and aligned to a student's training rows."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.signals.mixed.mixing import Schedule
from distilgrid.signals.teacher import StoredTeacher
from distilgrid.tasks.kinds.image.settings import Views
from distilgrid.training.token_states import TokenStates

FILE = "train.safetensors"


def open_recorded(
    folders: Sequence[Path],
    *,
    example_ids: np.ndarray,
    data_keys: Collection[str],
    states: bool,
    tokens: bool = False,
) -> StoredTeacher:
    """Recorded outputs on training rows, addressed by their example ids.

    Args:
        folders: teacher-outputs artefacts: of the prepared rows, and of augmented ones.
        example_ids: (N,) ids of the training rows, in the student's order.
        data_keys: recipe keys of the data and the augmented rows that the student trains on.
        states: whether [CLS] states are needed.
        tokens: whether all tokens' states are.

    Raises:
        UserError: when a recording is damaged, was made from other data, or rows or states are missing.
    """
    wanted = "hidden-states" if tokens else "cls-states" if states else "logits"
    parts = [_tensors(folder, data_keys, wanted) for folder in folders]
    found = _joined(parts, "example_ids").numpy()
    rows = torch.from_numpy(_positions(folders[0], found, example_ids))
    kept = _joined(parts, "cls_states")[rows] if states else None
    packed = (
        TokenStates.packed(_joined(parts, "token_states"), _joined(parts, "lengths")).take(rows) if tokens else None
    )
    return StoredTeacher(_joined(parts, "logits")[rows], kept, packed)


def _tensors(folder: Path, data_keys: Collection[str], wanted: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    kind = _checked(folder, data_keys)["kind"]
    if kind in ("mixed-logits", "view-logits") or (wanted != "logits" and kind != wanted):
        raise UserError(f"{folder}: holds {kind} only, but this method needs {wanted}; record --kind {wanted}")
    tensors: dict[str, Tensor] = load_file(folder / FILE)
    return tensors


def _joined(parts: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    tensors = [part[name] for part in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)  # states are large: no copy without need


def open_mixed(
    folder: Path, *, schedule: Schedule, example_ids: np.ndarray, data_keys: Collection[str]
) -> StoredTeacher:
    """Recorded outputs on mixed samples.

    Args:
        folder: the teacher-outputs artefact.
        schedule: the student's mixed samples.
        example_ids, data_keys: as for `open_recorded`.

    Raises:
        UserError: when the recording is damaged, or was made from other data or for other mixed samples.
    """
    from safetensors.torch import load_file

    manifest = _checked(folder, data_keys)
    if manifest["kind"] != "mixed-logits":
        raise UserError(f"{folder}: holds no outputs on mixed samples; record --kind mixed-logits")
    if manifest["schedule"] != schedule.digest(example_ids):
        raise UserError(
            f"{folder}: recorded for other mixed samples; rows, epochs, batch size and mixup must be those of the "
            "student; record again"
        )
    return StoredTeacher(load_file(folder / FILE)["logits"])


def open_views(
    folder: Path, *, views: Views, epochs: int, example_ids: np.ndarray, data_keys: Collection[str]
) -> StoredTeacher:
    """Recorded outputs on views of images, addressed by sample: e * N + row.

    Args:
        folder: the teacher-outputs artefact.
        views: the student's.
        epochs: how many of the student's epochs need them.
        example_ids, data_keys: as for `open_recorded`.

    Raises:
        UserError: when the recording is damaged, was made from other data or views, or has too few epochs.
    """
    from safetensors.torch import load_file

    manifest = _checked(folder, data_keys)
    if manifest["kind"] != "view-logits":
        raise UserError(f"{folder}: holds no outputs on views of images; record --kind view-logits")
    if manifest["views"] != views.model_dump() or manifest["epochs"] < epochs:
        raise UserError(
            f"{folder}: recorded for {manifest['epochs']} epochs of views {manifest['views']}, but this student needs "
            f"{epochs} epochs of {views.model_dump()}; record again"
        )
    tensors = load_file(folder / FILE)
    rows = torch.from_numpy(_positions(folder, tensors["example_ids"].numpy(), example_ids))
    return StoredTeacher(tensors["logits"][:epochs, rows].flatten(0, 1))


def _checked(folder: Path, data_keys: Collection[str]) -> dict[str, Any]:
    """The manifest of a whole recording for some data."""
    verified(folder, stage="record")
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    recorded = manifest["data_key"]
    if recorded not in data_keys:
        wanted = " and ".join(data_keys)
        raise UserError(
            f"{folder}: recorded on data {recorded}, but this student trains on data {wanted}; record again"
        )
    return manifest


def _positions(folder: Path, recorded: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ids lie among the recorded ones."""
    order = np.argsort(recorded, kind="stable")
    found = np.searchsorted(recorded[order], wanted).clip(max=len(recorded) - 1)
    positions = order[found]
    missing = np.flatnonzero(recorded[positions] != wanted)
    if len(missing):
        row, count = missing[0] + 1, len(missing)
        raise UserError(f"{folder}: no recorded output for training row {row} ({count} missing); record again")
    return positions
