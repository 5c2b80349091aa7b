"""The opening of a workflow: the plan, a frozen copy of the parameters, and a clean start after a crash."""

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from distilgrid.core.artefacts import not_in_the_future, readable_os_errors, write_changed
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.project import parse_yaml, read_yaml, yaml_text
from distilgrid.core.schema import deep_merge
from distilgrid.jobs.process import mark_workflow
from distilgrid.jobs.warm import server
from distilgrid.jobs.warm.client import ADDRESS
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import Params, parse_params, schema_text
from distilgrid.tracking import SUMMARY, forget_if_waiting

SCHEMA = Path(__file__).parent / "schemas" / "params.schema.json"
ROOM = 1 << 20  # bytes
BUSY = (
    "distilgrid: another Snakemake is at work in this folder: this one can look (-n), or make what that one does not; "
    "else wait for its end. Do not --unlock: locks of a killed one go by themselves\n"
)
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
    with _ending_in_one_line():
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


@contextlib.contextmanager
def _ending_in_one_line() -> Iterator[None]:
    """Ends the process for bad input: Snakemake would turn any exception into a traceback and exit code 1."""
    try:
        yield
    except UserError as error:
        sys.stderr.write(f"distilgrid: {error}\n")
        sys.stderr.flush()
        os._exit(2)


def open_workflow(
    config: Mapping[str, Any], *, results: str, origin: Sequence[str], main: bool = False
) -> tuple[Plan, str]:
    """The plan of a Snakemake configuration, and the path of a frozen copy of its parameters for the jobs.

    Jobs read the copy, so editing `params.yaml` during a run mixes no values. Bad input ends the process with one line
    and exit code 2.

    Args:
        config: the merged parameters.
        results: the results folder.
        origin: the names of the sources of the parameters, for messages.
        main: whether the user started this process. Snakemake starts others for single jobs, perhaps elsewhere.
    """
    with _ending_in_one_line():
        params = parse_params(config, origin=" + ".join(origin) or "configuration")
        plan = expand(params)
        frozen = freeze(params, Path(results))
        if main:
            release_stale_locks(Path(".snakemake"))
    mark_workflow()
    os.environ.pop(ADDRESS, None)  # of a workflow around this one
    if main:
        forget_if_waiting(Path(results) / plan.tracking / SUMMARY)
    return plan, str(frozen)


def start_jobs(plan: Plan, *, results: str, main: bool) -> None:
    """Prepare for the jobs of this workflow. Snakemake calls this before its first job, and not in a dry run.

    Args:
        plan: from `open_workflow`.
        results: the results folder.
        main: see `open_workflow`.
    """
    if not main:
        return
    for artefact in plan.artefacts.values():
        not_in_the_future(Path(results, artefact.folder, name) for name in artefact.files)
    if plan.params.resources.warm_start and sys.platform == "linux":
        with contextlib.suppress(OSError):  # jobs start cold
            server.start(log=Path(results) / "logs" / "warm.log")


def freeze(params: Params, results: Path) -> Path:
    """Write the parameters to a file that is named after their content."""
    values = params.model_dump(mode="json")
    path = results / ".params" / f"{params.grid.name}-{recipe_key(values)}.yaml"
    with readable_os_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_changed(path, yaml_text(values).encode())
    return path


def release_stale_locks(folder: Path) -> None:
    """Remove the locks and marks of a killed Snakemake; those of a living one stay.

    Each process holds a lock while it lives, and the kernel frees it however the process dies. Without any holder, all
    lock files of Snakemake are stale. So are its marks of incomplete files, because ours appear whole: Snakemake would
    only make finished files again.

    Raises:
        UserError: when the folder cannot be written, or the disk is full. Snakemake itself ends in a traceback.
    """
    ours = folder / "distilgrid"
    with readable_os_errors(folder):
        ours.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:  # Snakemake writes files before its first job
            stream.write(bytes(ROOM))
        with FileLock(ours / "gate.lock", fallback_to_soft=False):
            others = _living(ours)
            _held.append(FileLock(ours / f"{secrets.token_hex(8)}.process", fallback_to_soft=False))
            _held[-1].acquire()
            if others:
                sys.stderr.write(BUSY)
                return
            marks = (path for path in (folder / "incomplete").rglob("*") if path.is_file())
            for stale in [*(folder / "locks").glob("*.lock"), *marks]:
                stale.unlink(missing_ok=True)


def _living(folder: Path) -> bool:
    """Whether another process holds its lock. Removes the files of those that ended."""
    living = False
    for path in folder.glob("*.process"):
        lock = FileLock(path, fallback_to_soft=False)
        try:
            with lock.acquire(blocking=False):
                path.unlink()
        except Timeout:
            living = True
    return living


def schema_file() -> str:
    """The packaged JSON Schema; with features of other packages, a schema with their settings for this workflow."""
    if not any(group.startswith("distilgrid.") for group in entry_points().groups):
        return str(SCHEMA)
    written = Path(".snakemake") / SCHEMA.name
    written.parent.mkdir(exist_ok=True)
    write_changed(written, schema_text().encode())
    return str(written.resolve())
