"""The argument of a stage's function: its opened inputs, where to write, and how to compute. Light: no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.finished import Finished
from distilgrid.core.stage import Keys
from distilgrid.training.settings import Execution

if TYPE_CHECKING:
    from distilgrid.plan.expand import Plan


@dataclass(frozen=True)
class Job:
    """One making of an artefact: the argument of a stage's `run`, next to the settings."""

    folder: Path  # for new files; they move to `out` once all are written
    out: Path  # where the artefact goes. Unfinished work is kept there
    key: str  # of its recipe
    keys: Keys  # of the inputs, as the recipe holds them
    inputs: Mapping[str, Sequence[Finished]]  # by option, each a list
    execution: Execution = field(default_factory=Execution)  # how the job computes
    threads: int = 1  # of this process
    plan: "Plan | None" = None  # the grid's, for a stage that finds its inputs itself
    results: Path = Path("results")  # the folder where these lie

    def each(self, name: str) -> tuple[Finished, ...]:
        """The inputs that an option gave."""
        return tuple(self.inputs.get(name, ()))

    def given(self, name: str) -> Finished:
        """The input of an option that must be given."""
        return self.each(name)[0]

    def folders(self, name: str) -> tuple[Path, ...]:
        """The folders that an option gave."""
        return tuple(given.folder for given in self.each(name))

    def folder_of(self, name: str) -> Path | None:
        """The folder that an option gave, if any."""
        return next(iter(self.folders(name)), None)
