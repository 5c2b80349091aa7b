"""What making an artefact costs: time, processor time, memory and energy. Light: torch is not asked."""

import os
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distilgrid.core.energy import energy_counter
from distilgrid.core.machine import usable_cores

JOB = "SLURM_JOB_ID"
STAT = Path("/proc/stat")


class Meter:
    """Counts from its making on, what this process and the helpers that it waited for use.

    Energy is known where the processor has a RAPL counter or the GPU NVML's. The processor's counter is the whole
    package's: a job is given the share that its processor time has in the busy time of the machine meanwhile. A GPU's
    counts in full, so jobs that share one (`resources.cells_per_gpu`) each have what all of them used.
    """

    def __init__(self) -> None:
        self._started, self._clock = datetime.now(UTC), time.perf_counter()
        self._cpu, self._busy = _cpu_seconds(), _busy_seconds()
        self._counters = {kind: counter for kind in ("cpu", "cuda") if (counter := energy_counter(kind))}
        self._joules = {kind: counter() for kind, counter in self._counters.items()}

    def read(self) -> dict[str, Any]:
        """The entries `started`, `seconds` and `cost` of `run.json`.

        `cost` holds seconds of processor time, the threads that the job had, peak memory in MiB, energy in joules by
        what used it (`cpu`, `cuda`), and the job of the batch system where there is one.
        """
        spent = _cpu_seconds() - self._cpu
        cost = {
            "cpu_seconds": round(spent, 3),
            "threads": int(os.environ.get("OMP_NUM_THREADS", usable_cores())),
            "peak_memory_mib": round(_peak_bytes() / 2**20, 1),
            "energy_j": self._energy(spent),
            **({"slurm_job": os.environ[JOB]} if JOB in os.environ else {}),
        }
        seconds = round(time.perf_counter() - self._clock, 3)
        return {"started": self._started.isoformat(timespec="seconds"), "seconds": seconds, "cost": cost}

    def _energy(self, spent: float) -> dict[str, float]:
        used = {kind: counter() - self._joules[kind] for kind, counter in self._counters.items() if _computed_on(kind)}
        if "cpu" in used:
            used["cpu"] *= self._share(spent)
        return {kind: round(joules, 3) for kind, joules in used.items()}

    def _share(self, spent: float) -> float:
        """The share of the machine's work that was this job's, as far as the system tells it."""
        busy = _busy_seconds() - self._busy
        return min(1.0, spent / busy) if busy > 0 else 1.0


def _computed_on(kind: str) -> bool:
    """Whether this process used the processor: a GPU that only lies there costs the job nothing."""
    if kind == "cpu":
        return True
    torch: Any = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def _cpu_seconds() -> float:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in each)


def _peak_bytes() -> int:
    """The largest of this process and its helpers; Linux counts in KiB, macOS in bytes."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else 1024 * peak


def _busy_seconds() -> float:
    """Processor time of all that the machine does; 0 where the system does not tell it."""
    try:
        fields = STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts = map(int, fields)
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
