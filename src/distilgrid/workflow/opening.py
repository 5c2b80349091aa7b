"""What the Snakefile asks of the package: the plan, a frozen copy of the parameters, a clean start after a crash."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import yaml

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.jobs.process import mark_workflow
from distilgrid.jobs.warm.offer import offer, withdraw
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import Params, parse_params
from distilgrid.tracking.waiting import SUMMARY, forget_if_waiting

ROOM = 1 << 20  # bytes
BUSY = (
    "distilgrid: another Snakemake is at work in this folder: this one can look (-n), or make what that one does not; "
    "else wait for its end. Do not --unlock: locks of a killed one go by themselves\n"
)
_held: list[IO[str]] = []  # keeps the lock for the life of the workflow's process


def open_workflow(
    config: Mapping[str, Any], *, results: str, origin: Sequence[str | Path], main: bool = False
) -> tuple[Plan, str]:
    """The plan of a Snakemake configuration, and the path of a frozen copy of its parameters for the jobs.

    Jobs read the copy, so editing `params.yaml` during a run cannot mix old and new values. Bad input ends the process
    with one line and exit code 2.

    Args:
        config: the merged parameters.
        results: the results folder.
        origin: the files that the parameters came from, for messages.
        main: whether this is the process that the user started, rather than one that Snakemake started for a single
            job, perhaps on another machine: only the former has jobs that are worth a warm start.
    """
    names = " + ".join(os.path.relpath(name) for name in origin) or "configuration"
    try:
        params = parse_params(config, origin=names)
        plan = expand(params)
        frozen = freeze(params, Path(results))
        if main:
            release_stale_locks(Path(".snakemake"))
    except UserError as error:
        sys.stderr.write(f"distilgrid: {error}\n")
        sys.stderr.flush()
        os._exit(2)  # Snakemake would turn any exception into a traceback and exit code 1
    mark_workflow()
    keep_what_is_older()
    if main:
        forget_if_waiting(Path(results) / plan.tracking / SUMMARY)
    if main and params.resources.warm_start:
        offer(log=Path(results) / "logs" / "warm.log")
    else:
        withdraw()
    return plan, str(frozen)


def freeze(params: Params, results: Path) -> Path:
    """Write the parameters to a file that is named after their content, unless it is there already."""
    values = params.model_dump(mode="json")
    path = results / ".params" / f"{params.grid.name}-{recipe_key(values)}.yaml"
    if not path.is_file():
        with readable_os_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(f".{os.getpid()}")
            try:
                scratch.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
                scratch.replace(path)
            finally:
                scratch.unlink(missing_ok=True)
    return path


def release_stale_locks(folder: Path) -> None:
    """Remove what a killed Snakemake left in its folder; a living one's locks and marks stay.

    Each process shares a lock for as long as it lives, which the kernel frees however it dies. Who gets it alone at
    first knows that no other Snakemake works in this folder, so any lock file left there is stale. So are its marks of
    incomplete files: ours appear whole, the last one last. If all files of a marked job are there, Snakemake would make
    them again, and nothing else.

    Raises:
        UserError: when the folder cannot be written, or the disk is full: Snakemake would end in a traceback.
    """
    with readable_os_errors(folder):
        folder.mkdir(exist_ok=True)
        _check_room(folder)
        stream = open(folder / "distilgrid.lock", "a")  # noqa: SIM115 - held until the process ends
        _held.append(stream)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(BUSY)
            fcntl.flock(stream, fcntl.LOCK_SH)
            return
    marks = (path for path in (folder / "incomplete").rglob("*") if path.is_file())
    for stale in [*(folder / "locks").glob("*.lock"), *marks]:
        stale.unlink(missing_ok=True)
    fcntl.flock(stream, fcntl.LOCK_SH)


def _check_room(folder: Path) -> None:
    """Write and remove a file as large as what Snakemake writes before its first job."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(bytes(ROOM))


def keep_what_is_older() -> None:
    """Have Snakemake keep files whose time stamps lie before those of their inputs: the clock may have been set back.

    It would take them for damaged and remove them, hours of training. Here a path holds its recipe, and time stamps
    decide nothing. Snakemake has no setting for that, so the check itself is replaced.
    """

    async def pass_all(*_: object, **__: object) -> None: ...

    loaded = sys.modules.get("snakemake.dag")
    if loaded is not None:
        loaded.DAG.check_output_mtime = pass_all
