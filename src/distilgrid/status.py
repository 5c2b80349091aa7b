"""What of a grid is done, stale or to do, why, and how long the rest may take."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distilgrid.artefacts import RUN, is_complete
from distilgrid.audit.changes import differences
from distilgrid.estimate import STAGES, estimate
from distilgrid.grid import Plan
from distilgrid.planned import Artefact

State = Literal["done", "stale", "to do"]


@dataclass(frozen=True)
class Status:
    """One artefact's state, and for a stale one what changed since its predecessor."""

    artefact: Artefact
    state: State
    why: str = ""


def states(plan: Plan, *, results: Path) -> list[Status]:
    """The state of every artefact, in the order in which they are made."""
    return [_state(artefact, results) for artefact in plan.artefacts.values()]


def overview(plan: Plan, *, results: Path, cores: int | None) -> str:
    """The whole listing as text: a line per artefact, a line per stage, and the estimate."""
    found = states(plan, results=results)
    lines = [f"{s.state:6} {s.artefact.folder}" + (f"  <- {s.why}" if s.why else "") for s in found]
    counts = Counter((s.artefact.stage, s.state) for s in found)
    lines += ["", f"grid '{plan.params.grid.name}': {len(plan.students)} cells"]
    for stage in STAGES:
        parts = [f"{counts[stage, state]} {state}" for state in ("done", "stale", "to do") if counts[stage, state]]
        if parts:
            lines.append(f"  {stage:10} {', '.join(parts)}")
    left, done = ([s.artefact for s in found if (s.state == "done") is wanted] for wanted in (False, True))
    return "\n".join([*lines, estimate(left, done, params=plan.params, results=results, cores=cores)])


def command_lines(plan: Plan, *, results: Path, files: Sequence[Path]) -> Iterator[str]:
    """The command of each artefact, in the order in which they can run."""
    settings = shlex.join([word for path in files for word in ("--params", str(path))])
    for artefact in plan.artefacts.values():
        place = f"--results {shlex.quote(str(results))} " if artefact.stage == "report" else ""
        yield f"distilgrid {artefact.stage} {settings} {place}{artefact.arguments(str(results))}"


def _state(artefact: Artefact, results: Path) -> Status:
    folder = results / artefact.folder
    if is_complete(folder):
        return Status(artefact, "done")
    stem = folder.name.rpartition("-")[0]
    older = [p for p in folder.parent.glob(f"{stem}-*") if p.name.rpartition("-")[0] == stem and is_complete(p)]
    if not older:
        return Status(artefact, "to do")
    newest = max(older, key=lambda p: p.stat().st_mtime)
    recipe = json.loads((newest / RUN).read_text(encoding="utf-8"))["recipe"]
    return Status(artefact, "stale", _difference(recipe, artefact.recipe))


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = differences(old, new)
    own = [
        f"{name}: {before} -> {after}" for name, (before, after) in changed.items() if not name.startswith("inputs.")
    ]
    shown = own[:3] or [f"{name.removeprefix('inputs.').partition('.')[0]} changed" for name in [*changed][:1]]
    return "; ".join(shown) + (f" (+{len(own) - 3} more)" if len(own) > 3 else "")
