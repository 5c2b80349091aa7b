"""Finding and removing artefacts that no grid names, but for those that somebody works on."""

import contextlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from distilgrid.audit.grids import Grids, known_grids
from distilgrid.core.artefacts import LOCK, RUN, is_complete, readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import KEY_LENGTH, named_key
from distilgrid.core.planned import KNOWN
from distilgrid.jobs.living import FOLDER as LOCKS
from distilgrid.jobs.living import gate
from distilgrid.plan.expand import Plan
from distilgrid.stages.table import STAGES

NO_ARTEFACTS = {"cards", "deployed"}
"""Folders that users fill by commands and remove by hand. Folders in them carry the keys of models."""
TRACKING = "tracking"
KEYS = re.compile(rf'"([0-9a-f]{{{KEY_LENGTH}}})"')
AT_WORK = "a job is at work in it"


@dataclass
class Garbage:
    """Folders that the given files do not name."""

    unnamed: dict[Path, int] = field(default_factory=dict)  # those that may go, with their sizes in bytes
    named: dict[Path, str] = field(default_factory=dict)  # those that other grids name, with the name of one
    kept: dict[Path, str] = field(default_factory=dict)  # those that stay for another reason, with the reason
    notes: list[str] = field(default_factory=list)  # files that cannot be planned
    unknown: list[str] = field(default_factory=list)  # runs that cannot be planned, so that nothing may go

    def lines(self, verb: str) -> Iterator[str]:
        """What may go, with a verb, and what stays and why."""
        for folder, size in self.unnamed.items():
            yield f"{verb} {folder} ({_mebibytes(size)})"
        for folder, reason in self.kept.items():
            yield f"kept {folder}: {reason}"
        for who, count in Counter(self.named.values()).items():
            yield f"kept {count} folders of {who}"
        if self.notes:
            yield f"no grids on the given parameters, so kept only as they were run: {', '.join(self.notes)}"
        for reason in self.unknown:
            yield f"unknown results of a run: {reason}"

    def total(self, *, without: Collection[Path] = ()) -> str:
        """Number and size of the folders that may go."""
        sizes = [size for folder, size in self.unnamed.items() if folder not in without]
        return f"{len(sizes)} folders, {_mebibytes(sum(sizes))}"

    def refuse_unknown(self) -> None:
        """Refuse to delete anything while results of a run are not known. Raises UserError."""
        for reason in self.unknown:
            raise UserError(f"{reason}; nothing is deleted, as results of this run cannot be told: remove this file")


def survey(
    *,
    params_files: Sequence[Path],
    overlays: Sequence[Path],
    results: Path,
    unfinished_days: float = 0.0,
    others: bool = True,
) -> Garbage:
    """The artefact folders that the given files do not name, and which of them stay.

    Args:
        params_files: the parameters.
        overlays: files on top: see `known_grids`.
        results: the results folder.
        unfinished_days: how long unfinished work stays after its last change.
        others: whether results of the project's other grids stay. Those of a Snakemake at work always do.

    Raises:
        UserError: when a given file cannot be planned.
    """
    grids = known_grids(params_files=params_files, overlays=overlays, results=results)
    found = Garbage()
    if others:
        found.notes, found.unknown = grids.notes, grids.unknown
    named = _named(grids, results, others=others)
    own = _folders(grids.given, results)
    for folder in _of_stages(results):
        if folder in own or folder.parent in own:
            continue
        if who := named.get(folder) or named.get(folder.parent):
            found.named[folder] = who
        elif reason := _reason(folder, results, unfinished_days):
            found.kept[folder] = reason
        else:
            found.unnamed[folder] = _size(folder)
    _keep_sources(found, results)
    return found


def collect(*, params_files: Sequence[Path], overlays: Sequence[Path], results: Path) -> dict[Path, int]:
    """The folders that may go, with their sizes in bytes; unfinished work of any age is among them."""
    return survey(params_files=params_files, overlays=overlays, results=results).unnamed


def _named(grids: Grids, results: Path, *, others: bool) -> dict[Path, str]:
    """The folders of other grids, with words for one that names them."""
    plans = {**(grids.others if others else {}), **grids.running}
    return {folder: who for who, plan in reversed(plans.items()) for folder in _folders([plan], results)}


def _folders(plans: Sequence[Plan], results: Path) -> set[Path]:
    """All folders of plans, with those above them: a grid's name may look like a key."""
    folders = {results / folder for plan in plans for folder in [*plan.artefacts, plan.tracking]}
    shared = {results / folder for plan in plans for folder in plan.known}
    above = {parent for folder in folders for parent in folder.parents if named_key(parent.name)}
    return folders | shared | above


def _of_stages(results: Path) -> Iterator[Path]:
    """The keyed folders that stages and tracking make. Others are the user's."""
    made = {stage.folder for stage in STAGES.values()} | {TRACKING}
    return (folder for folder in keyed_folders(results) if folder.relative_to(results).parts[0] in made)


def keyed_folders(results: Path) -> list[Path]:
    """All artefact folders, finished or not."""
    found: list[Path] = []
    for current, names, _ in os.walk(results):
        if Path(current) == results:
            names[:] = [name for name in names if name not in NO_ARTEFACTS]
        keyed = [name for name in names if named_key(name)]
        found += [Path(current) / name for name in keyed]
        names[:] = [name for name in names if name not in keyed]
    return sorted(found)


def _reason(folder: Path, results: Path, unfinished_days: float) -> str:
    """Why a folder that nobody names stays; empty when it may go."""
    try:
        with _all_locks(folder):
            if TRACKING in folder.relative_to(results).parts or is_complete(folder):
                return ""
    except Timeout:
        return AT_WORK
    except (UserError, OSError) as error:
        return f"cannot be looked into: {getattr(error, 'strerror', None) or error}"
    idle = (time.time() - _last_change(folder)) / 86400
    return f"unfinished, last changed {idle:.1f} days ago" if idle < unfinished_days else ""


@contextlib.contextmanager
def _all_locks(folder: Path) -> Iterator[None]:
    """Hold the locks of a folder, and of those below one whose name only looks like a key. Raises Timeout."""
    with contextlib.ExitStack() as held:
        for path in sorted(folder.rglob(LOCK)):
            held.enter_context(FileLock(path, fallback_to_soft=False).acquire(blocking=False))
        yield


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _last_change(folder: Path) -> float:
    """The latest time stamp of the folder and all in it."""
    stamps = [0.0]
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(OSError):  # gone meanwhile
            stamps.append(path.lstat().st_mtime)
    return max(stamps)


def _size(folder: Path) -> int:
    sizes = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            sizes.append(path.stat().st_size if path.is_file() else 0)
    return sum(sizes)


def _keep_sources(found: Garbage, results: Path) -> None:
    """Keep what unfinished work is made from, and the findings that its searches share."""
    by_key = {folder.name[-KEY_LENGTH:]: folder for folder in found.unnamed}
    left = [(folder, folder / LOCK) for folder in found.kept]
    for folder, record in left:
        for key in _keys(record):
            source = by_key.get(key)
            if source in found.unnamed:
                del found.unnamed[source]
                found.kept[source] = f"{folder.relative_to(results)} is made from it"
                left.append((source, source / RUN))
    busy = {folder.parent for folder in found.kept}
    for folder in [folder for folder in found.unnamed if folder.parent.name == KNOWN]:
        if folder.parent.parent in busy:
            del found.unnamed[folder]
            found.kept[folder] = "a search next to it is unfinished"


def _keys(record: Path) -> list[str]:
    """The keys that a record of a recipe names."""
    try:
        return KEYS.findall(record.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return []


@contextlib.contextmanager
def no_new_workflow(results: Path) -> Iterator[None]:
    """Let no workflow of this project open meanwhile: it waits."""
    folder = results.absolute().parent / ".snakemake" / LOCKS
    with gate(folder) if folder.is_dir() else contextlib.nullcontext():
        yield


def remove(folders: Mapping[Path, int], *, results: Path) -> dict[Path, str]:
    """Delete folders, and folders above them that become empty.

    Returns:
        the folders that stay, with the reasons: a job began to work in them, or they cannot be deleted.
    """
    kept = {}
    for folder in folders:
        try:
            with readable_os_errors(folder):
                reason = _deleted(folder)
        except (UserError, OSError) as error:
            reason = str(error)
        if reason:
            kept[folder] = reason
            continue
        above = folder.parent
        with contextlib.suppress(OSError):  # a folder that is not empty stays
            while above != results:
                above.rmdir()
                above = above.parent
    return kept


def _deleted(folder: Path) -> str:
    """Delete a folder with its lock held, its record first: half of it never passes for the whole."""
    if folder.is_symlink():
        folder.unlink()
        return ""
    (folder / LOCK).touch()
    try:
        with _all_locks(folder):
            (folder / RUN).unlink(missing_ok=True)
            shutil.rmtree(folder)
    except Timeout:
        return AT_WORK
    return ""
