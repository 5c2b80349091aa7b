"""Raw rows of a task's source, and splits made of them. Light: imports NumPy and pandas on use.

The kind names a module with `revision` and `load` for each scheme of sources.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256
from distilgrid.tasks.dataset import limit_rows, sample_rows
from distilgrid.tasks.likeness import row_texts
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Folders:
    """Local folders of published data sets; None means the hub."""

    glue: Path | None = None
    cifar: Path | None = None


@dataclass(frozen=True)
class Raw:
    """Rows of a source: one frame per split, notes for tables, and file names for messages.

    The image column holds encoded bytes, a struct with the field `bytes`, or uint8 arrays (H, W, C).
    """

    splits: "dict[str, pd.DataFrame]"
    notes: list[str]
    files: dict[str, str] = field(default_factory=dict)


def source_revision(spec: TaskSpec, folders: Folders) -> str:
    """Fingerprint of the rows behind a spec, without reading them. Raises UserError for a missing file or library."""
    return str(_module(spec).revision(spec, folders))


def load_raw(spec: TaskSpec, folders: Folders) -> Raw:
    """Read the rows of a task from its source. Raises UserError for a missing or unreadable file."""
    raw: Raw = _module(spec).load(spec, folders)
    return raw


def _module(spec: TaskSpec) -> ModuleType:
    return importlib.import_module(spec.task_kind.sources[spec.scheme].module)


def complete_splits(
    splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data
) -> "tuple[dict[str, pd.DataFrame], dict[str, int]]":
    """Complete the splits of a source by holding rows out of train, seeded and stratified.

    `dev` selects checkpoints and `validation` reports, so no row serves both. Rows of `train` and `dev` whose texts are
    those of a validation row, apart from case, space, punctuation and order, are left out, and counted by split. Raises
    UserError when a split is missing, or no row is left in one.
    """
    splits = dict(splits)
    if spec.validation[0] not in splits:
        _hold_out(splits, spec, data, round(spec.validation_fraction * len(splits["train"])), "validation")
    absent = [name for name in spec.validation if name not in splits]
    if absent:
        raise UserError(f"{spec.source}: brings no rows for the split '{absent[0]}'; add them or drop its name")
    left_out = _leave_out(splits, spec)
    caps = {"train": data.max_train_rows, **dict.fromkeys(spec.validation, data.max_validation_rows)}
    if "dev" in splits:
        caps["dev"] = data.max_dev_rows
    else:
        count = len(splits["train"])
        _hold_out(splits, spec, data, min(round(data.dev_fraction * count), data.max_dev_rows or count), "dev")
    for name, cap in caps.items():
        if cap is not None:
            splits[name] = limit_rows(splits[name], cap, seed=data.seed, kind=spec.task_kind, purpose=name)
    return splits, left_out


def _leave_out(splits: "dict[str, pd.DataFrame]", spec: TaskSpec) -> dict[str, int]:
    """Remove rows of `train` and `dev` whose normalised texts are those of a validation row; returns their numbers."""
    if not spec.task_kind.tokenised:
        return {}
    counts: dict[str, int] = {}
    scored = {row for name in spec.validation for row in row_texts(splits[name])}
    for name in ("train", "dev"):
        if name in splits:
            kept = [row not in scored for row in row_texts(splits[name])]
            if not any(kept):
                said = f"all rows of '{name}' are validation rows, apart from case, space and punctuation"
                raise UserError(f"{spec.source}: {said}; give other rows")
            counts[name] = kept.count(False)
            splits[name] = splits[name][kept].reset_index(drop=True)
    return counts


def _hold_out(splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data, count: int, purpose: str) -> None:
    """Move rows from train to `dev`, or to the first validation split."""
    train, name = splits["train"], "dev" if purpose == "dev" else spec.validation[0]
    mask = sample_rows(train, max(1, count), seed=data.seed, kind=spec.task_kind, purpose=purpose, held_out=True)
    if not mask.any():
        raise UserError(f"{spec.source}: {len(train)} training row(s) are too few to hold out '{purpose}'; add rows")
    splits[name], splits["train"] = train[mask].reset_index(drop=True), train[~mask].reset_index(drop=True)


def files_revision(named: Mapping[str, Path]) -> str:
    """Fingerprint of files, each under a name that holds on every machine. Raises UserError for an unreadable file."""
    digests = []
    for name, path in named.items():
        with readable_os_errors(path):
            digests.append(f"{name}={file_sha256(path)[:16]}")
    return "files:" + ",".join(digests)


def split_file(folder: Path, split: str) -> Path | None:
    """The parquet file of a published split in a folder of its data set; None if it is absent."""
    names = (f"{split}.parquet", f"{split}_subset.parquet", f"{split}-00000-of-00001.parquet")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def subset_notes(files: Mapping[str, Path]) -> list[str]:
    """What tables must say about splits that are not whole."""
    return [f"{split}: a subset of the official split" for split, path in files.items() if "_subset" in path.name]


def hub_file(repository: str, folder: str, split: str, revision: str, *, key: str) -> Path:
    """Download the file of a split, or find it cached. `data.<key>` works offline. Raises UserError on failure."""
    from huggingface_hub import hf_hub_download

    name = f"{folder}/{split}-00000-of-00001.parquet"
    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset", revision=revision))
    except Exception as error:  # the hub client raises many types; the user needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"{repository}/{name}: cannot be fetched ({reason}); offline, set data.{key}"
        raise UserError(message) from None
