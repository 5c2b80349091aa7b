"""Artefacts that a test changes as if their stage had made them so: files change together with their fingerprints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import own_fingerprint, read_json, write_json
from distilgrid.core.fingerprint import file_sha256
from distilgrid.core.schema import deep_merge


def relist(folder: Path, name: str) -> None:
    """Write the fingerprint of a file that was changed into `run.json`."""
    run = read_json(folder / "run.json")
    run["files"][name] = file_sha256(folder / name)
    rerecorded(folder, **run)


def rerecorded(folder: Path, **values: Any) -> None:
    """Change values of `run.json`."""
    run = {**read_json(folder / "run.json"), **values}
    write_json(folder / "run.json", run | {"fingerprint": own_fingerprint(run)})


def remade(path: Path, values: Mapping[str, Any]) -> None:
    """Change values of a JSON file."""
    write_json(path, deep_merge(read_json(path), values))
    relist(path.parent, path.name)
