"""Finished artefacts as their readers see them: a file's content is compared with `run.json` before anyone reads it.

Nothing else opens an artefact; a test reads the source for other ways.
"""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import (
    MODEL_STAGES,
    RUN,
    check_file,
    content_digest,
    read_parquet,
    readable_os_errors,
    verified,
)
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256

if TYPE_CHECKING:
    import pandas as pd

LOADED = {".json", ".txt", ".model", ".jinja", ".py", ".safetensors", ".bin"}
"""Endings of files that transformers looks for in a model's folder, such as `added_tokens.json`."""


@dataclass(frozen=True)
class Finished:
    """A finished artefact. Every method raises UserError for a file that is missing, damaged or not of the artefact."""

    folder: Path  # where it lies
    run: Mapping[str, Any]  # its `run.json`

    @property
    def key(self) -> str:
        """The recipe key."""
        return str(self.run["key"])

    @property
    def labels(self) -> Mapping[str, Any]:
        """Task, teacher, method, ... for tables."""
        return dict(self.run["labels"])

    def path(self, name: str) -> Path:
        """The path of a file, for libraries that read files themselves."""
        path = self.folder / name
        check_file(path, self.run["files"].get(name))
        return path

    def read(self, name: str) -> bytes:
        """The content of a file: the very bytes that match."""
        path = self.path(name)
        with readable_os_errors(path):
            content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.run["files"][name]:
            raise UserError(f"{path}: changed while it was read; run the command again")
        return content

    def json(self, name: str) -> Any:
        """The value of a JSON file."""
        return json.loads(self.read(name))

    def table(self, name: str, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """The rows of a parquet file, or of a CSV file in which only empty fields are missing values."""
        if not name.endswith(".csv"):
            return read_parquet(self.path(name), columns)
        import pandas as pd

        return pd.read_csv(self.path(name), keep_default_na=False, na_values=[""])

    def copy(self, names: Iterable[str], to: Path) -> None:
        """Copy files into a folder, and compare the copies."""
        for name in names:
            source = self.path(name)
            shutil.copyfile(source, to / name)
            if file_sha256(to / name) != self.run["files"][name]:
                raise UserError(f"{to / name}: the copy differs from {source}; run the command again")

    def check_made_from(self, source: "Finished") -> None:
        """Refuse a source whose files are not those that this artefact was made from. Older artefacts do not say."""
        recorded = self.run.get("inputs", {}).get(source.key)
        if recorded not in (None, content_digest(source.run["files"])):
            raise UserError(
                f"{self.folder}: was made from another making of {source.folder}, whose files differed; "
                f"remove {self.folder} and run its stage again"
            )


def open_finished(folder: Path | str, *, stage: str | None = None, only: Collection[str] | None = None) -> Finished:
    """Open an artefact that `stage` has made, and check its files, or `only` some of them, at once.

    Raises UserError when the folder holds no artefact, an artefact of another stage, or a damaged file.
    """
    return Finished(Path(folder), verified(folder, stage=stage, only=only))


def is_made(folder: Path) -> bool:
    """Whether a stage has made an artefact: there is a `run.json`, which may be damaged, like the other files.

    Raises UserError without the permission to look: an artefact that exists must not pass for absent.
    """
    with readable_os_errors(folder):
        return (folder / RUN).is_file()


def open_trained(folder: Path | str) -> Finished:
    """Open a teacher or student, and check its files.

    Raises UserError for another stage, a damaged artefact, or a file that would be loaded with it unchecked.
    """
    found = open_finished(folder)
    if found.run["stage"] not in MODEL_STAGES:
        raise UserError(f"{folder}: holds the output of '{found.run['stage']}'; give the folder of a trained model")
    for path in sorted(found.folder.iterdir()):
        if path.suffix in LOADED and path.name not in (RUN, *found.run["files"]) and not path.name.startswith("."):
            raise UserError(f"{path}: {RUN} does not list it, but libraries may load it with the model; remove it")
    return found
