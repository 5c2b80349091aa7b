"""What this machine is: for `run.json`, benchmarks and `doctor`. Light: torch is not asked."""

import functools
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("distilgrid", "torch", "transformers", "tokenizers", "numpy", "pandas", "onnxruntime")
X86_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")
ARM_FLAGS = ("asimd", "bf16", "i8mm")
INTERESTING_FLAGS = (*X86_FLAGS, *ARM_FLAGS)
LOW_PRECISION = {
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm"),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
}
"""The features that multiply matrices of a precision in hardware."""


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def cpu_flags() -> tuple[str, ...]:
    """The CPU's features that decide speed at low precision, as the kernel names them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            present = set(line.split(":", 1)[1].split())
            return tuple(flag for flag in INTERESTING_FLAGS if flag in present)
    return ()


@functools.cache
def cpu_name() -> str:
    """The CPU's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """Processor, cores, features, memory and system. Holds no host name and no user name."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "flags": list(cpu_flags()),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def accelerates_bf16() -> bool:
    """Whether the CPU multiplies bf16 matrices in hardware."""
    return any(flag in cpu_flags() for flag in LOW_PRECISION["bf16"])


def _memory_gib() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError):
        return 0.0
