"""GLUE (Wang et al. 2018), from local files or from the hub at a pinned revision. Light: reads rows on use."""

from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.tasks.sources import Folders, Raw, files_revision, hub_file, split_file, subset_notes
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.tables import read_parquet

REPOSITORY = "nyu-mll/glue"
REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def revision(spec: TaskSpec, folders: Folders) -> str:
    """The pinned revision, or a fingerprint of local files. Raises UserError when a file is missing."""
    if folders.glue is None:
        return f"hub:{REPOSITORY}@{REVISION}"
    return files_revision({path.name: path for path in _files(spec, folders.glue).values()})


def load(spec: TaskSpec, folders: Folders) -> Raw:
    """Read the splits of a task. Raises UserError when a file is missing or unreadable."""
    files = _files(spec, folders.glue)
    return Raw({split: read_parquet(path) for split, path in files.items()}, subset_notes(files))


def _files(spec: TaskSpec, folder: Path | None) -> dict[str, Path]:
    files = {}
    for split in ["train", *spec.validation]:
        if folder is None:
            files[split] = hub_file(REPOSITORY, spec.locator, split, REVISION, key="glue_dir")
            continue
        found = split_file(folder / spec.locator, split)
        if found is None:
            raise UserError(f"{folder / spec.locator}: no {split}.parquet; check data.glue_dir / DISTILGRID_GLUE_DIR")
        files[split] = found
    return files
