"""Raw rows of a task's source. Light: imports NumPy and pandas on use.

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
