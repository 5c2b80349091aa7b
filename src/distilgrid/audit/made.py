"""Finished artefacts of a results folder, as recorded in `run.json`. Light: no torch or pandas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilgrid.audit.garbage import keyed_folders
from distilgrid.core.artefacts import RUN, read_run
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.core.schema import flat


@dataclass(frozen=True)
class Made:
    """A finished artefact."""

    folder: Path
    run: Mapping[str, Any]  # its `run.json`
    stage: str  # that made it
    key: str  # the recorded recipe key
    recipe: Mapping[str, Any]  # the recorded recipe

    @cached_property
    def inputs(self) -> dict[str, list[str]]:
        """The keys of its inputs by option."""
        within = self.recipe.get("search", {}) if self.stage == "candidate" else self.recipe
        keys = flat(within.get("inputs", {})).items()
        return {option: [value] if isinstance(value, str) else list(value) for option, value in keys}


def read_made(folder: Path) -> Made:
    """Read the record of an artefact, but not its files. Raises UserError when its `run.json` is missing or damaged."""
    return _made(folder, read_run(folder))


def _made(folder: Path, run: Mapping[str, Any]) -> Made:
    return Made(folder, run, str(run["stage"]), str(run["key"]), run["recipe"])


def finished(results: Path) -> list[Made]:
    """Finished artefacts of a results folder, by folder.

    Raises UserError without the folder, or for a `run.json` that is damaged or holds another recipe than its key's.
    """
    check_results(results)
    folders = (folder for folder in keyed_folders(results) if (folder / RUN).is_file())
    return [_made(folder, open_finished(folder, only=()).run) for folder in folders]


def check_results(results: Path) -> None:
    """Refuse a results folder that does not exist."""
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; give the one that holds the artefacts (--results)")


def by_key(made: Sequence[Made]) -> dict[str, Made]:
    """Artefacts by recipe key. The first one stands for all with the same recipe."""
    return {each.key: each for each in reversed(made)}
