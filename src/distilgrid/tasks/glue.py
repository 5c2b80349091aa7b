"""GLUE (Wang et al. 2018), from local files or from the hub at a pinned revision. Light: reads rows on use."""

from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.tasks.sources import Folders, Raw, files_revision, hub_file, parquet_names, read_parquet
from distilgrid.tasks.spec import TaskSpec

REPOSITORY = "nyu-mll/glue"
REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def revision(spec: TaskSpec, folders: Folders) -> str:
    """The pinned revision, or a fingerprint of local files. Raises UserError when a file is missing."""
    if folders.glue is None:
        return f"hub:{REPOSITORY}@{REVISION}"
    return files_revision({path.name: path for path in _files(spec, folders.glue).values()})


def load(spec: TaskSpec, folders: Folders) -> Raw:
    """Read the splits of a task. Raises UserError when a file is missing or unreadable."""
    files = _files(spec, folders.glue) if folders.glue else _download(spec)
    notes = [f"{split}: a subset of the official split" for split, p in files.items() if "_subset" in p.name]
    return Raw({split: read_parquet(path) for split, path in files.items()}, notes)


def _files(spec: TaskSpec, folder: Path) -> dict[str, Path]:
    files = {}
    for split in ["train", *spec.validation]:
        names = parquet_names(split)
        found = [folder / spec.locator / name for name in names if (folder / spec.locator / name).is_file()]
        if not found:
            raise UserError(f"{folder / spec.locator}: no {names[0]}; check data.glue_dir / DISTILGRID_GLUE_DIR")
        files[split] = found[0]
    return files


def _download(spec: TaskSpec) -> dict[str, Path]:
    names = {split: f"{spec.locator}/{split}-00000-of-00001.parquet" for split in ["train", *spec.validation]}
    return {split: hub_file(REPOSITORY, name, REVISION, key="glue_dir") for split, name in names.items()}
