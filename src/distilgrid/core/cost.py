"""The cost of making an artefact: time, processor time, memory and energy. Light: torch is not asked.

Energy counters are RAPL of Intel and AMD processors through the kernel, and NVML of NVIDIA GPUs. A counter covers the
whole package or GPU, with everything else that runs there.
"""

import importlib.util
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distilgrid.core.gpus import visible_gpus
from distilgrid.core.machine import usable_cores

JOB = "SLURM_JOB_ID"
STAT = Path("/proc/stat")
POWERCAP = Path("/sys/class/powercap")

Counter = Callable[[], float]
"""Joules since some moment; never falls."""


class Meter:
    """Meter of this process, and of the helpers that it waited for, from construction on.

    Energy is known where the processor has a RAPL counter, or the GPU one of NVML. The processor's counter covers the
    whole package: a job gets its share of the machine's busy time. A GPU's counter covers all jobs that share the GPU
    (`resources.cells_per_gpu`), and each of them gets the whole.
    """

    def __init__(self) -> None:
        self._started, self._clock = datetime.now(UTC), time.perf_counter()
        self._cpu, self._busy = _cpu_seconds(), _busy_seconds()
        self._counters = {kind: counter for kind in ("cpu", "cuda") if (counter := energy_counter(kind))}
        self._joules = {kind: counter() for kind, counter in self._counters.items()}

    def read(self) -> dict[str, Any]:
        """The entries `started`, `seconds` and `cost` of `run.json`.

        `cost` holds seconds of processor time, the job's threads, peak memory in MiB and energy in joules by what used
        it (`cpu`, `cuda`). In a batch system it also names the job.
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
        if "cpu" in used and (busy := _busy_seconds() - self._busy) > 0:
            used["cpu"] *= min(1.0, spent / busy)
        return {kind: round(joules, 3) for kind, joules in used.items()}


def _computed_on(kind: str) -> bool:
    """Whether this process used the processor: an idle GPU costs the job nothing."""
    torch: Any = sys.modules.get("torch")
    return kind == "cpu" or (torch is not None and bool(torch.cuda.is_initialized()))


def _cpu_seconds() -> float:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in each)


def _peak_bytes() -> int:
    """The largest of this process and its helpers; Linux counts in KiB, macOS in bytes."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else 1024 * peak


def _busy_seconds() -> float:
    """Processor time of everything on the machine; 0 where the system does not tell it."""
    try:
        fields = STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts = map(int, fields)
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def energy_counter(processor: str) -> Counter | None:
    """The counter of a kind of processor, `cpu` or `cuda`; None without one that this process may read."""
    return _nvml() if processor == "cuda" else _rapl(POWERCAP)


def _rapl(root: Path) -> Counter | None:
    """The sum over packages. Other zones hold packages, or parts of them."""
    zones = [_Zone(path) for path in sorted(root.glob("intel-rapl:*")) if _is_package(path)]
    return (lambda: sum(zone.joules() for zone in zones)) if zones else None


def _is_package(zone: Path) -> bool:
    """Whether a zone is a package whose counter this process may read; `psys`, say, is the whole board."""
    try:
        (zone / "energy_uj").read_text(encoding="ascii")
        return (zone / "name").read_text(encoding="ascii").startswith("package")
    except OSError:
        return False


class _Zone:
    """The counter of a package, which wraps at the range that it names."""

    def __init__(self, path: Path) -> None:
        self._path = path / "energy_uj"
        self._range = int((path / "max_energy_range_uj").read_text(encoding="ascii"))
        self._last, self._total = self._read(), 0

    def _read(self) -> int:
        return int(self._path.read_text(encoding="ascii"))

    def joules(self) -> float:
        now = self._read()
        self._total += (now - self._last) % self._range
        self._last = now
        return self._total / 1e6


def _nvml() -> Counter | None:
    """The sum over the GPUs that this process may use."""
    names = visible_gpus()
    if not names or importlib.util.find_spec("pynvml") is None:
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        by_name, by_number = pynvml.nvmlDeviceGetHandleByUUID, pynvml.nvmlDeviceGetHandleByIndex
        gpus = [by_number(int(name)) if name.isdecimal() else by_name(name) for name in names]
        for gpu in gpus:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError:
        return None
    return lambda: sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) for gpu in gpus) / 1e3
