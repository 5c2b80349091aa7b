"""Status of a grid: artefacts that are done, stale or to do, with reasons and the remaining time."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from distilgrid.audit import estimate
from distilgrid.audit.changes import differences
from distilgrid.audit.left import Left, damage, left
from distilgrid.audit.made import read_made
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.plan.params import Params
from distilgrid.stages.table import STAGES

State = Literal["done", "stale", "to do"]


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
    """One line: the remaining artefacts, their minutes, and the source of the estimate."""
    left, done = ([s.artefact for s in found if (s.state == "done") is wanted] for wanted in (False, True))
    return estimate.time_left(left, done, params, results=results, cores=cores)


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
