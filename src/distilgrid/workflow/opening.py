"""The opening of a workflow: the plan, a frozen copy of the parameters, and a clean start after a crash."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from filelock import FileLock

from distilgrid.audit.left import Left, left
from distilgrid.core.artefacts import not_in_the_future, readable_os_errors, write_changed
from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.project import parse_yaml, read_yaml
from distilgrid.core.schema import deep_merge
from distilgrid.jobs.living import FOLDER, gate, hold, living
from distilgrid.jobs.process import mark_workflow
from distilgrid.jobs.warm import server
from distilgrid.jobs.warm.client import ADDRESS
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.frozen import freeze
from distilgrid.plan.params import parse_params, schema_text
from distilgrid.stages.table import check_machine
from distilgrid.tracking import SUMMARY, forget_if_waiting

SCHEMA = Path(__file__).parent / "schemas" / "params.schema.json"
ROOM = 1 << 20  # bytes
BUSY = (
    "distilgrid: another Snakemake is at work in this folder: this one can look (-n), or make what that one does not; "
    "else wait for its end. Do not --unlock: locks of a killed one go by themselves\n"
)
AGAIN = Path(".snakemake") / FOLDER / "again"
_held: list[FileLock] = []  # until the workflow's process ends, however it ends


def configuration(workflow: Any, name: str) -> tuple[dict[str, Any], list[str]]:
    """The parameters of a workflow, and the names of their sources, the lowest first.

    Snakemake would read the files as YAML 1.1, take the last of two equal keys, and make text of all values within
    those of `--config`. Bad input ends the process with one line and exit code 2.

    Args:
        workflow: Snakemake's.
        name: the project's file, which may be missing where `--configfile` names others.
    """
    if workflow.modifier.skip_configfile:  # a module, to which the workflow around it gives values
        return dict(workflow.config), []
    asked = workflow.config_settings
    above = [os.path.relpath(path) for path in asked.configfiles]
    below = [os.path.relpath(path) for path in workflow.configfiles[len(above) :]]  # named by the project's Snakefile
    if name not in below and (Path(name).exists() or not above):
        below.append(name)
        workflow.configfiles.append(name)  # Snakemake sends them along to other machines
    files = above if asked.replace_workflow_config else [*below, *above]
    with _one_line():
        values = merged(files, asked.config_args)
    return values, [*files, *(["--config"] if asked.config_args else [])]


def merged(files: Sequence[str | Path], given: Sequence[str]) -> dict[str, Any]:
    """The values of parameter files, later ones on top, and above them those of `--config`: `grid={seeds: [0]}`.

    Raises UserError as `read_yaml` does.
    """
    values: dict[str, Any] = {}
    for path in files:
        values = deep_merge(values, read_yaml(path))
    for entry in given:
        key, _, text = entry.partition("=")
        values = deep_merge(values, {key: parse_yaml(text, origin=f"--config {key}")})
    return values


def open_workflow(
    config: Mapping[str, Any], *, results: str, origin: Sequence[str], main: bool = False
) -> tuple[Plan, str]:
    """The plan of a Snakemake configuration, and the path of a frozen copy of its parameters for the jobs.

    Jobs read the copy, so editing `params.yaml` during a run mixes no values. Bad input ends the process with one line
    and exit code 2.

    Args:
        config: the merged parameters.
        results: the results folder.
        origin: the names of the sources of the parameters, later ones on top.
        main: whether the user started this process. Snakemake starts others for single jobs, perhaps elsewhere.
    """
    with _one_line():
        params = parse_params(config, origin=" + ".join(origin) or "configuration")
        plan = expand(params)
        frozen = freeze(params, Path(results), origin=origin if main else ())
        if main:
            release_stale_locks(Path(".snakemake"), name=frozen.stem)
    mark_workflow()
    os.environ.pop(ADDRESS, None)  # of a workflow around this one
    if main:
        forget_if_waiting(Path(results) / plan.tracking / SUMMARY)
    return plan, str(frozen)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """End the process with one line and exit code 2 on bad input. Snakemake would show a traceback, and exit with 1."""
    try:
        yield
    except UserError as error:
        sys.stderr.write(f"distilgrid: {error}\n")
        sys.stderr.flush()
        os._exit(2)


def work_left(plan: Plan, *, results: str, main: bool) -> dict[str, Left]:
    """What is left of a plan, as `distilgrid plan` sees it, by folder.

    Snakemake alone would not make a lost artefact whose followers are there, and it takes a folder for whole that lost
    a file which its rule does not name. `AGAIN` is a newer input of such folders. A process for a single job, which is
    not the `main` one, is told what to make.
    """
    if not main:
        return {}
    with _one_line():
        found = left(plan, results=Path(results))
    again = [each for each in found.values() if each.state != "absent"]
    for each in again:
        folder = each.artefact.folder
        not_in_the_future(Path(results, folder, name) for name in each.artefact.files)
        sys.stderr.write(f"distilgrid: {folder} has to be made again: {each.why}\n")
    if again:
        AGAIN.parent.mkdir(parents=True, exist_ok=True)
        AGAIN.write_text(f"{time.time_ns()}\n", encoding="utf-8")  # Snakemake skips a newer file of the same content
    return found


def start_jobs(plan: Plan, *, results: str, main: bool, left: Iterable[Artefact] = ()) -> None:
    """Prepare for the jobs of this workflow. Snakemake calls this before its first job, and not in a dry run.

    Args:
        plan: from `open_workflow`.
        results: the results folder.
        main: see `open_workflow`.
        left: what the jobs will make. The process ends in one line where they need what this machine lacks.
    """
    if not main:
        return
    with _one_line():
        check_machine(left)
    for artefact in plan.artefacts.values():
        not_in_the_future(Path(results, artefact.folder, name) for name in artefact.files)
    if plan.params.resources.warm_start and sys.platform == "linux":
        with contextlib.suppress(OSError):  # jobs start cold
            server.start(log=Path(results) / "logs" / "warm.log")


def release_stale_locks(folder: Path, *, name: str = "") -> None:
    """Remove the locks and marks of a killed Snakemake; those of a living one stay.

    Each process holds a lock while it lives. Without any holder, all lock files of Snakemake are stale. So are its
    marks of incomplete files, because ours appear whole: Snakemake would only make finished files again.

    Args:
        folder: `.snakemake` in the project.
        name: of this workflow's parameters, for those that ask what is at work.

    Raises:
        UserError: when the folder cannot be written, or the disk is full. Snakemake itself ends in a traceback.
    """
    ours = folder / FOLDER
    with readable_os_errors(folder):
        ours.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:  # Snakemake writes files before its first job
            stream.write(bytes(ROOM))
        with gate(ours):
            others = living(ours)
            _held.append(hold(ours, name=name))
            if others:
                sys.stderr.write(BUSY)
                return
            marks = (path for path in (folder / "incomplete").rglob("*") if path.is_file())
            for stale in [*(folder / "locks").glob("*.lock"), *marks]:
                stale.unlink(missing_ok=True)


def schema_file() -> str:
    """The packaged JSON Schema; with features of other packages, a schema with their settings for this workflow."""
    if not any(group.startswith("distilgrid.") for group in entry_points().groups):
        return str(SCHEMA)
    written = Path(".snakemake") / SCHEMA.name
    written.parent.mkdir(exist_ok=True)
    write_changed(written, schema_text().encode())
    return str(written.resolve())
