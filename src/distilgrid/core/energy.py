"""Energy counters: RAPL of Intel and AMD processors through the kernel, and NVML of NVIDIA GPUs.

A counter covers the whole package or GPU, with everything else that runs there.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distilgrid.core.gpus import visible_gpus

POWERCAP = Path("/sys/class/powercap")

Counter = Callable[[], float]
"""Joules since some moment; never falls."""


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
        gpus = [_gpu(name) for name in names]
        for gpu in gpus:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError:
        return None
    return lambda: sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) for gpu in gpus) / 1e3


def _gpu(name: str) -> Any:
    """NVML's handle of a GPU as CUDA_VISIBLE_DEVICES names it: a number, or a UUID."""
    import pynvml

    if name.isdecimal():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    return pynvml.nvmlDeviceGetHandleByUUID(name)
