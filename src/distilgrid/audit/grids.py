"""The grids of a project: those given, those of its files, those that were run, and those that run now.

Many grids share a results folder. Whatever one of them names must stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.core.project import read_yaml
from distilgrid.jobs.living import FOLDER as LOCKS
from distilgrid.jobs.living import living
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.frozen import DECISIONS, Frozen, frozen_copies
from distilgrid.plan.params import Params, load_params

GRIDS, PARAMS = "grids", "params.yaml"
Files = tuple[Path, ...]


@dataclass
class Grids:
    """Plans of grids, those of others by words for what names them."""

    given: list[Plan] = field(default_factory=list)
    others: dict[str, Plan] = field(default_factory=dict)
    running: dict[str, Plan] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # files that cannot be planned on the given ones
    unknown: list[str] = field(default_factory=list)  # runs whose results are not known any more, with the reason


def known_grids(*, params_files: Sequence[Path], overlays: Sequence[Path], results: Path) -> Grids:
    """All grids of a project.

    Args:
        params_files: the parameters.
        overlays: files on top. Each is a grid of its own, but for one of added seeds, which lies on the one before it.
        results: the results folder, in the project's folder.

    Raises:
        UserError: when a given file cannot be planned.
    """
    found = Grids()
    tried: dict[Files, Plan | None] = {}
    for files in _given(tuple(params_files), overlays):
        planned = expand(load_params(files))
        tried[_same(files)] = planned
        found.given += [planned, *(plan for _, plan in _decided(files, planned, results, found))]
    for files in _of_project(tuple(params_files), overlays, results, found):
        if _same(files) not in tried:
            tried[_same(files)] = _noted(files, results, found)
    for copy in frozen_copies(results):
        _add_runs(copy, tried, results, found)
    for name in living(results.absolute().parent / ".snakemake" / LOCKS):
        _add_frozen(results / ".params" / f"{name}.yaml", found.running, "a Snakemake at work", found)
    return found


def _given(params_files: Files, overlays: Sequence[Path]) -> list[Files]:
    grids = [params_files]
    for overlay in overlays:
        below = grids[-1] if _adds_seeds(overlay) else params_files
        grids.append((*below, overlay))
    return grids


def _adds_seeds(overlay: Path) -> bool:
    """Whether a file holds nothing but what `distilgrid decide` writes."""
    values = read_yaml(overlay)
    allowed = {"report": {"decide"}, "grid": {"replications"}}
    return all(isinstance(part, dict) and part.keys() <= allowed.get(name, set()) for name, part in values.items())


def _same(files: Files) -> Files:
    return tuple(path.absolute() for path in files)


def _of_project(params_files: Files, overlays: Sequence[Path], results: Path, found: Grids) -> Iterator[Files]:
    """The project's own parameters, and each file of its folder of grids on top of the given parameters."""
    project = results.absolute().parent
    if (project / PARAMS).is_file():
        yield (project / PARAMS,)
    beside = [path.absolute().parent / GRIDS for path in params_files]
    within = [path.absolute().parent for path in overlays if path.absolute().parent.name == GRIDS]
    for folder in dict.fromkeys([project / GRIDS, *beside, *within]):
        for path in sorted(folder.glob("*.yaml")):
            try:
                is_grid = read_yaml(path).keys() & Params.model_fields.keys()  # claims are no grids
            except UserError:
                found.notes.append(_shown(path, results))
                continue
            if is_grid:
                yield (*params_files, path)


def _noted(files: Files, results: Path, found: Grids) -> Plan | None:
    try:
        return _added(files, results, found)
    except UserError:
        found.notes.append(_shown(files[-1], results))
        return None


def _added(files: Files, results: Path, found: Grids) -> Plan:
    """The plan of files, which joins the other grids with the seeds that were added to it."""
    planned = expand(load_params(files))
    found.others[" + ".join(_shown(path, results) for path in files)] = planned
    found.others.update(_decided(files, planned, results, found))
    return planned


def _shown(path: Path, results: Path) -> str:
    project = results.absolute().parent
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def _decided(files: Files, planned: Plan, results: Path, found: Grids) -> Iterator[tuple[str, Plan]]:
    """The grid with the seeds that `distilgrid decide` added to it, or adds now."""
    name = planned.params.grid.name
    for path in (results / DECISIONS / f"{name}.yaml", results / DECISIONS / f".{name}.yaml"):
        if path.is_file() and _same((path,))[0] not in _same(files):
            try:
                yield str(path), expand(load_params([*files, path]))
            except UserError:
                found.notes.append(str(path))


def _add_runs(copy: Frozen, tried: dict[Files, Plan | None], results: Path, found: Grids) -> None:
    """Add what a run's files name today; where they are gone or unreadable, what they named then."""
    for origin in copy.origins:
        files = tuple(_published(path) for path in origin)
        if files and _same(files) not in tried and all(path.is_file() for path in files):
            try:
                tried[_same(files)] = _added(_same(files), results, found)
            except UserError:
                tried[_same(files)] = None
        if tried.get(_same(files)) is None:
            _add_frozen(copy.path, found.others, "a run whose files are gone or do not plan", found)


def _published(path: Path) -> Path:
    """A file of `distilgrid decide`: it loses the dot of its name once the last round is known."""
    last = path.with_name(path.name.removeprefix("."))
    return path if path.is_file() or path.parent.name != DECISIONS else last


def _add_frozen(path: Path, plans: dict[str, Plan], words: str, found: Grids) -> None:
    try:
        plans[f"{words} ({path})"] = expand(load_params([path]))
    except UserError as error:
        found.unknown.append(str(error))
