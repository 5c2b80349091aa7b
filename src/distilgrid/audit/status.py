"""Status of a grid: artefacts that are done, stale or to do, with reasons and the remaining time."""

import contextlib
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from distilgrid.audit.changes import differences
from distilgrid.audit.left import Left, damage, left
from distilgrid.audit.made import Made, read_made
from distilgrid.core.artefacts import RUN
from distilgrid.core.errors import UserError
from distilgrid.core.machine import usable_cores
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.plan.params import Params
from distilgrid.stages.table import STAGES

State = Literal["done", "stale", "to do"]
START_UP = 4.0  # seconds of a process before its work begins
ENOUGH = 50  # finished artefacts of a stage for a median


@dataclass(frozen=True)
class Status:
    """An artefact's state, with the changes since its predecessor if it is stale, or its damage."""

    artefact: Artefact
    state: State
    why: str = ""


def states(plan: Plan, *, results: Path) -> list[Status]:
    """The state of every artefact, in the plan's order."""
    found = left(plan, results=results)
    return [_state(artefact, found.get(folder), results) for folder, artefact in plan.artefacts.items()]


def overview(found: Sequence[Status], params: Params) -> str:
    """A line for each artefact, and one for each stage."""
    lines = [f"{s.state:6} {s.artefact.folder}" + (f"  <- {s.why}" if s.why else "") for s in found]
    counts = Counter((s.artefact.stage, s.state) for s in found)
    cells = sum(s.artefact.stage == "distill" for s in found)
    lines += ["", f"grid '{params.grid.name}': {cells} cells"]
    for stage in STAGES:
        parts = [f"{counts[stage, state]} {state}" for state in get_args(State) if counts[stage, state]]
        if parts:
            lines.append(f"  {stage:10} {', '.join(parts)}")
    return "\n".join(lines)


def time_left(found: Sequence[Status], params: Params, *, results: Path, cores: int | None) -> str:
    """One line: the remaining artefacts, their minutes, and the source of the estimate.

    For stages without a finished artefact, those of other grids in the results folder count.
    """
    left, done = ([s.artefact for s in found if (s.state == "done") is wanted] for wanted in (False, True))
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
        same = (one for one in made if one.stage == stage and "seconds" in one.run)
        taken = [one.run["seconds"] / STAGES[stage].units(one.recipe) for one in same]
        if taken:
            known[stage] = statistics.median(taken)
    return known


def _readable(folders: Iterable[Path]) -> Iterator[Made]:
    """Finished artefacts, except damaged ones: those of another grid must not stop a plan."""
    for folder in folders:
        with contextlib.suppress(UserError):
            yield read_made(folder)


def command_lines(plan: Plan, *, results: Path, files: Sequence[Path]) -> Iterator[str]:
    """The command of each artefact, in the plan's order."""
    settings = shlex.join([word for path in files for word in ("--params", str(path))])
    for artefact in plan.artefacts.values():
        yield f"distilgrid {artefact.stage} {settings} {artefact.arguments(str(results))}"


def _state(artefact: Artefact, found: Left | None, results: Path) -> Status:
    if found is None:
        return Status(artefact, "done")
    if found.state != "absent":
        return Status(artefact, "to do" if found.state == "damaged" else "stale", found.why)
    folder = results / artefact.folder
    stem = folder.name.rpartition("-")[0]
    older = [p for p in folder.parent.glob(f"{stem}-*") if p.name.rpartition("-")[0] == stem and damage(p) == ""]
    if not older:
        return Status(artefact, "to do")
    newest = read_made(max(older, key=lambda p: p.stat().st_mtime))
    return Status(artefact, "stale", _difference(newest.recipe, artefact.recipe))


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = differences(old, new)
    own = [
        f"{name}: {before} -> {after}" for name, (before, after) in changed.items() if not name.startswith("inputs.")
    ]
    shown = own[:3] or [f"{name.removeprefix('inputs.').partition('.')[0]} changed" for name in [*changed][:1]]
    return "; ".join(shown) + (f" (+{len(own) - 3} more)" if len(own) > 3 else "")
