"""Facts about this machine, for `run.json`, benchmarks and `doctor`. Light: torch is not asked."""

import contextlib
import functools
import os
import platform
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

MOST_THREADS = 1024
"""The most threads, or processes, of a job: more than machines have cores, and no more than libraries can start."""
PACKAGES = ("distilgrid", "torch", "transformers", "tokenizers", "numpy", "pandas", "onnxruntime")
X86_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")
ARM_FLAGS = ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "svei8mm", "svebf16", "smei8i32", "smeb16f32")
"""asimddp: dot products of int8, as VNNI on x86; asimdhp: arithmetic in fp16."""
LOW_PRECISION = {
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
}
"""The features that multiply matrices of a precision in hardware."""


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    return {"python": platform.python_version(), **versions_of(PACKAGES)}


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those packages that are installed."""
    versions = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@functools.cache
def cpu_flags() -> tuple[str, ...] | None:
    """The CPU's features that decide speed at low precision, as the kernel names them; None where unknown."""
    return interesting_flags(_cpuinfo())


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def interesting_flags(cpuinfo: str) -> tuple[str, ...] | None:
    """The features of `cpu_flags` in the text of a machine's /proc/cpuinfo."""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    present = set(line[1].split()) if line else set()
    return tuple(flag for flag in (*X86_FLAGS, *ARM_FLAGS) if flag in present) if line else None


@functools.cache
def cpu_name() -> str:
    """The CPU's model name; on Arm, where the kernel has no such name, the board's: Raspberry Pi 5 Model B."""
    named = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(\S.*)$", _cpuinfo(), re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """Processor, cores, features (None: unknown), memory and system. Holds no host name and no user name."""
    flags = cpu_flags()
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "flags": None if flags is None else list(flags),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def accelerates_bf16() -> bool:
    """Whether the CPU multiplies bf16 matrices in hardware."""
    return any(flag in (cpu_flags() or ()) for flag in LOW_PRECISION["bf16"])


def _memory_gib() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError):
        return 0.0
