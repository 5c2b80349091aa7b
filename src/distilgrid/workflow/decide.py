"""Rounds of a grid: Snakemake runs it, its report asks for more seeds, until no claim wants any."""

import contextlib
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from distilgrid.core.artefacts import readable_os_errors, write_text
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.core.project import located, read_yaml, yaml_text
from distilgrid.plan.expand import expand
from distilgrid.plan.frozen import DECISIONS
from distilgrid.plan.params import load_params
from distilgrid.plan.settings import Decide


@dataclass(frozen=True)
class Round:
    """The outcome of a round."""

    number: int  # counted from 1
    report: Path  # the folder of its report
    overlay: Path  # the file with the added seeds, which later commands take as a further --grid
    decided: dict[str, Any]  # `decided` of the report's `claims.json`

    @property
    def last(self) -> bool:
        """Whether no claim gets more seeds."""
        return all(decision["wanted"] is None for decision in self.decided["decisions"])


def rounds(
    files: Sequence[Path], overlays: Sequence[Path], *, results: Path, options: Sequence[str]
) -> Iterator[Round]:
    """Run a grid in rounds, each with the seeds that the report before asked for.

    The first round is the grid as it is. Finished artefacts stay, so that a killed call goes through its rounds again
    in seconds, and goes on. The last round also shows the grid in MLflow.

    Args:
        files: the parameter files.
        overlays: the files on top.
        results: the results folder of the workflow.
        options: further options of Snakemake, such as `--cores 2`.

    Raises:
        UserError: when the grid does not say what to decide, or Snakemake fails.
    """
    base = load_params([*files, *overlays])
    settings = base.report.decide or Decide()
    if base.report.claims is None:
        raise UserError("decide: the grid judges no claims; name their file as report.claims")
    overlay = results / DECISIONS / f"{base.grid.name}.yaml"
    with _alone(overlay), readable_os_errors(overlay.parent):
        working = overlay.with_name(f".{overlay.name}")  # until the last round is known
        given: dict[str, Any] = {"report": {"decide": settings.model_dump()}}
        for number in itertools.count(1):
            write_text(working, yaml_text(given))
            found = _round(number, [*files, *overlays], working, overlay, results=results, options=options)
            yield found
            if found.last:
                return
            given = {**given, "grid": {"replications": found.decided["replications"]}}


def _round(
    number: int, files: Sequence[Path], working: Path, overlay: Path, *, results: Path, options: Sequence[str]
) -> Round:
    """Run a round up to its report. The last one also runs what follows the report, and publishes the overlay."""
    snakemake([*files, working], ["report"], options=options)
    report = results / expand(load_params([*files, working])).report.folder
    if not report.is_dir():
        raise UserError(f"decide: Snakemake made no {report}, as in a dry run; later rounds follow from it")
    judged = open_finished(report, stage="report", only=()).json("claims.json")
    found = Round(number, report, overlay, judged["decided"])
    if found.last:
        snakemake([*files, working], [], options=options)
        working.replace(overlay)
    return found


@contextlib.contextmanager
def _alone(overlay: Path) -> Iterator[None]:
    """Let no other call decide the same grid in this results folder meanwhile. Raises UserError when one does."""
    with readable_os_errors(overlay.parent):
        overlay.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(overlay.with_name(f".{overlay.name}.lock"), fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise UserError(f"decide: another call decides '{overlay.stem}' in this folder; wait for its end") from None
    try:
        yield
    finally:
        lock.release()


def snakemake(files: Sequence[Path], targets: Sequence[str], *, options: Sequence[str]) -> None:
    """Run Snakemake on parameter files. This process waits for it on signals, and then ends as they ask.

    Raises:
        UserError: when it fails.
    """
    # Snakemake knows nothing of files that ship with the package, and refuses those that hold nothing but comments.
    found = [str(located(file)) for file in files if read_yaml(file)]
    command = [sys.executable, "-m", "snakemake", *options, "--configfile", *found, "--", *targets]
    process = subprocess.Popen(command)
    with _passing_on(process) as signals:
        code = process.wait()
    if signals:
        raise SystemExit(128 + signals[-1])
    if code:
        raise UserError(f"decide: Snakemake ended with code {code}; see above, then call decide again: it goes on")


@contextlib.contextmanager
def _passing_on(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """Let a child end before this process does: a terminal interrupts both, SIGTERM is passed on.

    Yields the signals that came.
    """
    came: list[int] = []

    def passed(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, passed) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(done: Round) -> Iterator[str]:
    """The state of each claim after a round, and of the budget, a line each."""
    found = done.decided
    for decision in found["decisions"]:
        yield f"{decision['id']}: {_state(decision)}"
    for joint in found["joint"]:
        yield f"{joint['id']}: {joint['verdict']}"
    spent = f"round {done.number}: added jobs took {found['hours']:.2f} h"
    if done.last:
        yield f"{spent}; report: {done.report}; added seeds: {done.overlay}"
    else:
        yield f"{spent}, those of the next round will take about {found['more_hours']:.2f} h"


def _state(decision: dict[str, Any]) -> str:
    verdict, looks = decision["verdict"], decision["looks"]
    said = f"{verdict}" if not decision["stopped"] else f"{verdict}, stopped: {decision['stopped']}"
    if looks:
        look = looks[-1]
        bounds = "" if look["low"] is None else f" [{look['low']:.2f}, {look['high']:.2f}]"
        said += f"; {look['effect']:+.2f}{bounds} {decision['unit']}"
        said += f" after {look['seeds']} seeds" if look["level"] is not None else ""
    return said if decision["wanted"] is None else f"{said}; goes on to {decision['wanted']} seeds"
