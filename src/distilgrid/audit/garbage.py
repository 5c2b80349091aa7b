"""Finding and removing artefacts that no grid names."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.fingerprint import KEY_LENGTH
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params

NO_ARTEFACTS = {"cards", "deployed"}
"""Folders whose own ones carry the keys of models, for readers; they are written by hand, and stay until removed so."""
KEYED = re.compile(rf"-[0-9a-f]{{{KEY_LENGTH}}}$")


def collect(*, params_files: Sequence[Path], overlays: Sequence[Path], results: Path) -> dict[Path, int]:
    """Artefact folders under `results` that neither the parameters nor one of the overlays names, with their bytes."""
    grids = [[*params_files], *([*params_files, overlay] for overlay in overlays)]
    plans = [expand(load_params(files)) for files in grids]
    kept = {results / folder for plan in plans for folder in [*plan.artefacts, plan.tracking]}
    kept |= {above for folder in kept for above in folder.parents}  # a name of the grid may look like a key
    known = {results / folder for plan in plans for folder in plan.known}
    found = (folder for folder in keyed_folders(results) if folder not in kept and folder.parent not in known)
    return {folder: _size(folder) for folder in found}


def keyed_folders(results: Path) -> list[Path]:
    """Every artefact folder under `results`, finished or not."""
    found: list[Path] = []
    for current, names, _ in os.walk(results):
        if Path(current) == results:
            names[:] = [name for name in names if name not in NO_ARTEFACTS]
        keyed = [name for name in names if KEYED.search(name)]
        found += [Path(current) / name for name in keyed]
        names[:] = [name for name in names if name not in keyed]
    return sorted(found)


def remove(folders: dict[Path, int], *, results: Path) -> None:
    """Delete folders, and the folders above them that become empty."""
    for folder in folders:
        with readable_os_errors(folder):
            shutil.rmtree(folder)
        above = folder.parent
        while above != results and not any(above.iterdir()):
            above.rmdir()
            above = above.parent


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
