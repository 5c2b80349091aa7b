"""Estimates of a grid's remaining time, from finished artefacts of its results folder."""

import contextlib
import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from distilgrid.audit.made import Made, read_made
from distilgrid.core.artefacts import RUN
from distilgrid.core.errors import UserError
from distilgrid.core.machine import usable_cores
from distilgrid.core.planned import Artefact
from distilgrid.plan.params import Params
from distilgrid.stages.table import STAGES

START_UP = 4.0  # seconds of a process before its work begins
ENOUGH = 50  # finished artefacts of a stage for a median


def estimate(
    left: Sequence[Artefact], done: Sequence[Artefact], *, params: Params, results: Path, cores: int | None
) -> str:
    """One line: the number of remaining artefacts, their minutes, and the source of the estimate.

    For stages without a finished artefact, those of other grids in the results folder count.
    """
    if not left:
        return "nothing to be done"
    count = cores or usable_cores()
    side_by_side = max(1, count // params.resources.threads)
    known = _measured(left, done, results)
    seconds = 0.0
    for artefact in left:
        stage = STAGES[artefact.stage]
        each = START_UP + known.get(stage.name, stage.seconds) * stage.units(artefact.recipe)
        alone = stage.alone(artefact.recipe) or stage.finds_inputs  # the report comes last
        seconds += each if alone else each / side_by_side
    source = "from finished artefacts" if known else "a rough figure: nothing has been measured here yet"
    return f"left: {len(left)} artefacts, about {seconds / 60:.0f} min on {count} cores ({source})"


def _measured(left: Sequence[Artefact], done: Sequence[Artefact], results: Path) -> dict[str, float]:
    """Median seconds per unit of each stage with work left and a finished artefact."""
    own: dict[str, list[Path]] = {}
    for artefact in done:
        own.setdefault(artefact.stage, []).append(results / artefact.folder)
    known = {}
    for stage, example in {artefact.stage: artefact for artefact in left}.items():
        others = (path.parent for path in (results / Path(example.location).parts[0]).rglob(RUN))
        made = _readable(islice(own.get(stage) or others, ENOUGH))
        taken = [one.run["seconds"] / STAGES[stage].units(one.recipe) for one in made if one.stage == stage]
        if taken:
            known[stage] = statistics.median(taken)
    return known


def _readable(folders: Iterable[Path]) -> Iterator[Made]:
    """Finished artefacts, except damaged ones: those of another grid must not stop a plan."""
    for folder in folders:
        with contextlib.suppress(UserError):
            yield read_made(folder)
