"""Checks of artefacts against their records and their inputs. Light: no torch or pandas."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilgrid.audit.garbage import keyed_folders
from distilgrid.audit.made import Made, by_key, check_results, read_made
from distilgrid.core.artefacts import EDITED, RUN, content_digest, is_edited
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256, recipe_key
from distilgrid.core.planned import KNOWN
from distilgrid.core.progress import progress

NOT_ARTEFACTS = {KNOWN, "tracking"}
"""Folders whose subfolders carry keys, but hold no artefacts: shared by searches, or written by tracking."""


@dataclass(frozen=True)
class Problem:
    """A problem with a folder or file."""

    place: Path
    what: str

    def line(self) -> str:
        """The problem in words."""
        return f"{self.place}: {self.what}"


@dataclass(frozen=True)
class Verified:
    """The result of a check."""

    made: list[Made]  # finished artefacts with a readable `run.json`
    files: int  # number of files that were read
    links: int  # number of inputs that were compared with their records
    untold: int  # number of inputs without a record, as in artefacts of older versions
    unfinished: list[Path]  # folders without a `run.json`, of jobs that run or were killed
    problems: list[Problem]  # all problems

    def summary(self) -> str:
        """The numbers in a few lines."""
        older = f"; {self.untold} inputs of artefacts made before links were recorded" if self.untold else ""
        waiting = [f"unfinished: {folder}" for folder in self.unfinished]
        lines = [f"read {self.files} files of {len(self.made)} artefacts", f"followed {self.links} links{older}"]
        return "\n".join([*lines, *waiting])


def verify(results: Path, *, part: bool = False) -> Verified:
    """Check every file of every artefact, and the inputs of each, which may be elsewhere if this is a `part`.

    Raises UserError for a folder that is missing or holds no finished artefact: nothing of it would be verified.
    """
    check_results(results)
    folders = [folder for folder in keyed_folders(results) if not NOT_ARTEFACTS & {*folder.relative_to(results).parts}]
    finished = [folder for folder in folders if _has_run(folder)]
    if not finished:
        began = f"; unfinished: {len(folders)}" if folders else ""
        raise UserError(f"{results}: holds no finished artefact, so there is nothing to verify{began}; see --results")
    made, problems = _readable(finished)
    for each in progress(made, total=len(made), label="reading artefacts"):
        problems += _own_problems(each)
    links, untold, broken = _chain(made, part=part)
    files = sum(len(each.run["files"]) for each in made)
    unfinished = sorted({*folders} - {*finished})
    return Verified(made, files, links, untold, unfinished, problems + broken)


def _readable(folders: Sequence[Path]) -> tuple[list[Made], list[Problem]]:
    made, problems = [], []
    for folder in folders:
        try:
            made.append(read_made(folder))
        except UserError as error:
            said = str(error) if "cannot be read" in str(error) else "damaged"
            problems.append(Problem(folder / RUN, said.removeprefix(f"{folder / RUN}: ")))
    return made, problems


def _has_run(folder: Path) -> bool:
    """Whether there may be a `run.json`. Reading it later reports a folder without permission."""
    try:
        return (folder / RUN).is_file()
    except PermissionError:
        return True


def _own_problems(made: Made) -> Iterator[Problem]:
    """Problems of an artefact without its inputs: its key, its files, and foreign files."""
    key, named = recipe_key(made.recipe), made.folder.name.rpartition("-")[2]
    if key != made.key:
        yield Problem(made.folder / RUN, f"the recipe was changed: its key is {key}, recorded is {made.key}")
    elif is_edited(made.run):
        yield Problem(made.folder / RUN, EDITED)
    if named != made.key:
        yield Problem(made.folder, f"holds {made.key}, but is named after {named}")
    for name, digest in made.run["files"].items():
        said = _file_problem(made.folder / name, digest)
        if said:
            yield Problem(made.folder / name, said)
    own = {*made.run["files"], RUN}  # names that begin with a dot are locks, saved states, or shared by searches
    for path in sorted(made.folder.iterdir()):
        if path.name not in own and not path.name.startswith("."):
            yield Problem(path, f"not of this artefact: {RUN} does not name it")


def _file_problem(path: Path, digest: str) -> str | None:
    try:
        if not path.is_file():
            return "missing"
        return None if file_sha256(path) == digest else "changed or cut short"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _chain(made: Sequence[Made], *, part: bool) -> tuple[int, int, list[Problem]]:
    """The numbers of compared links and of links without a record, and the problems."""
    found, links, untold = by_key(made), 0, 0
    problems: list[Problem] = []
    for each in made:
        recorded: Mapping[str, str] = each.run.get("inputs", {})
        for name, key in ((name, key) for name, keys in each.inputs.items() for key in keys):
            source = found.get(key)
            if source is None:
                problems += [] if part else [Problem(each.folder, f"was made from {name} {key}, which is not here")]
            elif key not in recorded:
                untold += 1
            else:
                links += 1
                if content_digest(source.run["files"]) != recorded[key]:
                    what = f"was made from another making of {source.folder}, whose files differed"
                    problems.append(Problem(each.folder, what))
    return links, untold, problems
