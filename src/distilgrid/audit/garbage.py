"""Finding and removing artefacts that no grid names."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.fingerprint import KEY_LENGTH
from distilgrid.core.project import read_yaml
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params

NO_ARTEFACTS = {"cards", "deployed"}
"""Folders that users fill by commands and remove by hand. Folders in them carry the keys of models."""
KEYED = re.compile(rf"-[0-9a-f]{{{KEY_LENGTH}}}$")


def collect(*, params_files: Sequence[Path], overlays: Sequence[Path], results: Path) -> dict[Path, int]:
    """The artefact folders that neither the parameters nor an overlay names, with their sizes in bytes.

    Each overlay is a grid of its own, but for one of added seeds, which lies on the overlay before it.
    """
    grids = [[*params_files]]
    for overlay in overlays:
        below = grids[-1] if _adds_seeds(overlay) else params_files
        grids.append([*below, overlay])
    plans = [expand(load_params(files)) for files in grids]
    kept = {results / folder for plan in plans for folder in [*plan.artefacts, plan.tracking]}
    kept |= {above for folder in kept for above in folder.parents}  # a grid's name may look like a key
    known = {results / folder for plan in plans for folder in plan.known}
    found = (folder for folder in keyed_folders(results) if folder not in kept and folder.parent not in known)
    return {folder: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) for folder in found}


def _adds_seeds(overlay: Path) -> bool:
    """Whether a file holds nothing but what `distilgrid decide` writes."""
    values = read_yaml(overlay)
    allowed = {"report": {"decide"}, "grid": {"replications"}}
    return all(isinstance(part, dict) and part.keys() <= allowed.get(name, set()) for name, part in values.items())


def keyed_folders(results: Path) -> list[Path]:
    """All artefact folders, finished or not."""
    found: list[Path] = []
    for current, names, _ in os.walk(results):
        if Path(current) == results:
            names[:] = [name for name in names if name not in NO_ARTEFACTS]
        keyed = [name for name in names if KEYED.search(name)]
        found += [Path(current) / name for name in keyed]
        names[:] = [name for name in names if name not in keyed]
    return sorted(found)


def remove(folders: dict[Path, int], *, results: Path) -> None:
    """Delete folders, and folders above them that become empty."""
    for folder in folders:
        with readable_os_errors(folder):
            shutil.rmtree(folder)
        above = folder.parent
        while above != results and not any(above.iterdir()):
            above.rmdir()
            above = above.parent
