"""The settings of an Android phone in `devices/<name>.yaml`. Light."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from distilgrid.benchmark.settings import Threads
from distilgrid.core.schema import Settings

PHONE_ROOT = "/data/local/tmp"
"""The only place on an Android phone where adb may put and run programs, and where we delete."""


class Binaries(Settings):
    """Local paths of the benchmark programs, built for the phone's processor."""

    litert: str | None = None
    """LiteRT's `benchmark_model`."""
    executorch: str | None = None
    """ExecuTorch's `executor_runner`."""

    @model_validator(mode="after")
    def _any(self) -> "Binaries":
        if self.litert is None and self.executorch is None:
            raise ValueError("name at least one program: litert (benchmark_model) or executorch (executor_runner)")
        return self


class AdbDevice(Settings):
    """An Android phone on a USB cable, driven by `adb`."""

    kind: Literal["adb"]
    """What kind of device this is."""
    serial: str | None = Field(default=None, min_length=1)
    """Which phone, as `adb devices` shows it; null takes ANDROID_SERIAL, else the only one that is connected."""
    folder: str = f"{PHONE_ROOT}/distilgrid"
    """Where files are put on the phone while measuring; what was put there is deleted afterwards."""
    binaries: Binaries
    """The benchmark programs."""
    threads: Threads = Field(default=[1])
    """Threads of every entry; several values are measured one after the other."""
    affinity: str | None = Field(default=None, pattern=r"^[0-9a-f]{1,16}$")
    """The cores to use, as the mask that `taskset` takes: f0 are cores 4 to 7; null lets the phone choose."""

    @field_validator("folder")
    @classmethod
    def _safe(cls, folder: str) -> str:
        if not re.fullmatch(rf"{PHONE_ROOT}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", folder):
            raise ValueError(f"must be a plain folder below {PHONE_ROOT}, where adb may run programs")
        return folder
