"""What of a grid is done, stale or to do, why, and how long the rest may take."""

import json
import shlex
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distilgrid.artefacts import RUN, is_complete
from distilgrid.audit.changes import differences
from distilgrid.grid import Plan
from distilgrid.machine import usable_cores
from distilgrid.planned import Artefact

STAGES = (
    *("prepare", "finetune", "augment", "record", "latency", "supernet", "candidate", "search", "distill"),
    *("export", "benchmark", "features", "report"),
)
# Seconds per artefact before anything was measured here: the embedded default on two cores.
ROUGH_SECONDS = dict(zip(STAGES, (15, 90, 20, 33, 600, 300, 60, 900, 32, 15, 40, 15, 20), strict=True))
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
    return "\n".join([*lines, _estimate(plan, found, results, cores)])


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


def _estimate(plan: Plan, found: list[Status], results: Path, cores: int | None) -> str:
    left = [s.artefact for s in found if s.state != "done"]
    if not left:
        return "nothing to be done"
    known = _measured([s.artefact for s in found if s.state == "done"], results)
    count = cores or usable_cores()
    side_by_side = max(1, count // plan.params.resources.threads)
    seconds = 0.0
    for artefact in left:
        alone = artefact.stage in ("benchmark", "latency", "report")
        each = known.get(artefact.stage, ROUGH_SECONDS[artefact.stage])
        seconds += each if alone else each / side_by_side
    source = "from finished artefacts" if known else "a rough figure: nothing has been measured here yet"
    return f"left: {len(left)} artefacts, about {seconds / 60:.0f} min on {count} cores ({source})"


def _measured(done: list[Artefact], results: Path) -> dict[str, float]:
    """Median seconds per stage, start-up of the process included."""
    taken: dict[str, list[float]] = {}
    for artefact in done:
        run = json.loads((results / artefact.folder / RUN).read_text(encoding="utf-8"))
        taken.setdefault(artefact.stage, []).append(run["seconds"] + 4.0)
    return {stage: statistics.median(values) for stage, values in taken.items()}
