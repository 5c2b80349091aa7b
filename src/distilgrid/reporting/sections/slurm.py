"""How well SLURM's jobs used what they were given, as its accounting (`sacct`) tells it."""

import logging
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.reporting import wording
from distilgrid.reporting.table import Column, Table, Value

FIELDS = ("JobIDRaw", "ElapsedRaw", "TimelimitRaw", "AllocCPUS", "TotalCPU", "ReqMem", "MaxRSS")
PATIENCE_SECONDS = 30
UNITS = {"": 1 / 2**20, "K": 1 / 2**10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
CAPTION = (
    "As accounted by SLURM, of the jobs that made these artefacts. Processor used: processor time by cores and time; "
    "memory and time limit: the largest job's share of what it asked for. What is little used can be asked for less."
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlurmJob:
    """What a job had and what it used.

    Attributes:
        cores: that it had.
        seconds: from its start to its end.
        cpu_seconds: processor time of all its steps.
        limit_seconds: its time limit; 0 where there is none.
        asked_mib: memory that it asked for; 0 where it named none.
        peak_mib: the most that a step of it used.
    """

    cores: int
    seconds: float
    cpu_seconds: float
    limit_seconds: float
    asked_mib: float
    peak_mib: float


def slurm_table(runs: Sequence[Mapping[str, Any]]) -> Table | None:
    """The use of each stage's jobs; None where no artefact came from one, or the accounting says nothing of them."""
    stages: dict[str, list[str]] = {}
    for run in runs:
        if number := run.get("cost", {}).get("slurm_job"):
            stages.setdefault(run["stage"], []).append(number)
    jobs = accounted({number for numbers in stages.values() for number in numbers})
    found = {stage: [jobs[n] for n in dict.fromkeys(numbers) if n in jobs] for stage, numbers in stages.items()}
    rows = [_row(stage, group) for stage, group in found.items() if group]
    if not rows:
        return None
    titles = ("jobs", "core hours", "processor used", "memory used", "time limit used")
    return Table("SLURM efficiency", CAPTION, [Column("stage", number=False), *map(Column, titles)], rows)


def accounted(numbers: Iterable[str]) -> dict[str, SlurmJob]:
    """What `sacct` knows of jobs, by number; nothing, with a line in the log, where it does not answer."""
    wanted = ",".join(sorted(numbers))
    if not wanted or shutil.which("sacct") is None:
        return {}
    command = ["sacct", "--parsable2", "--noheader", f"--jobs={wanted}", f"--format={','.join(FIELDS)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("sacct does not tell how the jobs fared, the report goes without: %s", error)
        return {}
    return parsed(done.stdout)


def parsed(text: str) -> dict[str, SlurmJob]:
    """The jobs of `sacct`'s output: a line for each job, and one for each of its steps, which know the memory."""
    lines = [dict(zip(FIELDS, line.split("|"), strict=True)) for line in text.splitlines() if line]
    jobs: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        jobs.setdefault(line["JobIDRaw"].partition(".")[0], []).append(line)
    return {number: _job(steps[0], steps) for number, steps in jobs.items()}


def _job(whole: Mapping[str, str], steps: Sequence[Mapping[str, str]]) -> SlurmJob:
    limit = whole["TimelimitRaw"]
    return SlurmJob(
        cores=int(whole["AllocCPUS"]),
        seconds=float(whole["ElapsedRaw"]),
        cpu_seconds=_seconds(whole["TotalCPU"]),
        limit_seconds=60.0 * int(limit) if limit.isdecimal() else 0.0,
        asked_mib=_mib(whole["ReqMem"]) * (int(whole["AllocCPUS"]) if whole["ReqMem"].endswith("c") else 1),
        peak_mib=max(_mib(step["MaxRSS"]) for step in steps),
    )


def _seconds(text: str) -> float:
    """Seconds of [days-][hours:]minutes:seconds."""
    days, _, clock = text.rpartition("-")
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part or 0)
    return 86400 * int(days or 0) + total


def _mib(text: str) -> float:
    """MiB of a number with a unit; older versions add whether it holds for a node (n) or a core (c)."""
    found = re.fullmatch(r"([\d.]+)([KMGT]?)[nc]?", text)
    return float(found[1]) * UNITS[found[2]] if found else 0.0


def _row(stage: str, jobs: Sequence[SlurmJob]) -> list[Value]:
    core_seconds = sum(job.cores * job.seconds for job in jobs)
    return [
        Value(stage),
        Value(f"{len(jobs):,}"),
        Value(f"{core_seconds / 3600:,.2f}"),
        _share(sum(job.cpu_seconds for job in jobs), core_seconds),
        _largest((job.peak_mib, job.asked_mib) for job in jobs),
        _largest((job.seconds, job.limit_seconds) for job in jobs),
    ]


def _share(used: float, given: float) -> Value:
    return Value(wording.percent(used / given)) if given else Value(wording.DASH)


def _largest(pairs: Iterable[tuple[float, float]]) -> Value:
    shares = [(used / given, used, given) for used, given in pairs if given]
    return _share(*max(shares)[1:]) if shares else Value(wording.DASH)
