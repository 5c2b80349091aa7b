"""What is left of a plan. `distilgrid plan` lists it, and the workflow makes it. Light: no torch or pandas."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distilgrid.core.artefacts import RUN, content_digest, is_edited, readable_os_errors
from distilgrid.core.fingerprint import file_sha256, named_key, recipe_key
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan

SMALL = 1 << 20  # bytes


@dataclass(frozen=True)
class Left:
    """An artefact that has to be made."""

    artefact: Artefact
    state: Literal["absent", "damaged", "outdated"]
    why: str = ""


def left(plan: Plan, *, results: Path) -> dict[str, Left]:
    """The artefacts that have to be made, by folder, in the plan's order.

    The report is among them when something that it shows is made again, or was since.

    Raises:
        UserError: when a folder may not be looked into. What exists must not pass for absent.
    """
    found = {}
    for folder, artefact in plan.artefacts.items():
        why = damage(results / folder)
        if why != "":
            found[folder] = Left(artefact, "absent") if why is None else Left(artefact, "damaged", why)
    if plan.report.folder not in found and (why := _outdated(plan.report, found, results)):
        found[plan.report.folder] = Left(plan.report, "outdated", why)
    return found


def roots(found: Mapping[str, Left]) -> list[Artefact]:
    """Those of the artefacts that no other one of them is made from: to ask for them is to ask for all."""
    read = {source.folder for each in found.values() for source in each.artefact.each_input()}
    return [each.artefact for folder, each in found.items() if folder not in read]


def damage(folder: Path) -> str | None:
    """What is wrong with an artefact at a quick look: empty for a whole one, None where there is none.

    Small files are read, and larger ones that changed after `run.json` was written. Whoever uses an artefact reads all.

    Raises:
        UserError: when it may not be looked into.
    """
    with readable_os_errors(folder):
        try:
            run, written = _record(folder / RUN), (folder / RUN).stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None
        if run is None:
            return f"{RUN} is damaged"
        if named_key(folder.name) not in (None, run["key"]):
            return f"{RUN} is that of another recipe, {run['key']}"
        for name, digest in run["files"].items():
            if said := _file_damage(folder / name, digest, written):
                return f"{name} {said}"
    return ""


def _record(path: Path) -> Mapping[str, Any] | None:
    """The record of an artefact; None where it is damaged or was edited."""
    try:
        run: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, IsADirectoryError):
        return None
    whole = isinstance(run, dict) and {"stage", "key", "labels", "recipe", "files"} <= run.keys()
    if not whole or not isinstance(run["files"], dict) or is_edited(run) or recipe_key(run["recipe"]) != run["key"]:
        return None
    return dict(run)


def _file_damage(path: Path, digest: str, written: int) -> str:
    if not path.is_file():
        return "is missing"
    facts = path.stat()
    if facts.st_size > SMALL and facts.st_mtime_ns <= written:
        return ""
    return "" if file_sha256(path) == digest else "was changed or cut short"


def _outdated(report: Artefact, found: Mapping[str, Left], results: Path) -> str:
    """What a report shows that it was not made from."""
    recorded = json.loads((results / report.folder / RUN).read_text(encoding="utf-8")).get("inputs", {})
    for source in _sources(report):
        if source.folder in found:
            return f"{source.folder} is made again"
        now = _record(results / source.folder / RUN) if source.key in recorded else None
        if now is not None and content_digest(now["files"]) != recorded[source.key]:
            return f"{source.folder} was made again"
    return ""


def _sources(artefact: Artefact) -> Iterator[Artefact]:
    """All that an artefact is made from, each once."""
    seen: set[str] = set()
    waiting = [artefact]
    while waiting:
        for source in waiting.pop().each_input():
            if source.folder not in seen:
                seen.add(source.folder)
                waiting.append(source)
                yield source
