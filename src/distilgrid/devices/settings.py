"""Devices by name: from the project's `devices/*.yaml`, else from those that ship with the package. Light."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from distilgrid.benchmark.settings import Threads
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import file_sha256
from distilgrid.core.messages import validated_kind
from distilgrid.core.project import packaged, read_yaml
from distilgrid.core.schema import Settings
from distilgrid.devices.android.settings import AdbDevice
from distilgrid.runtimes.base import Processor

FOLDER = Path("devices")


class LocalDevice(Settings):
    """The machine that the benchmark runs on."""

    kind: Literal["local"] = "local"
    """What kind of device this is."""
    processor: Processor = "cpu"
    """What computes: the CPU, or a GPU by CUDA."""
    threads: Threads = Field(default=[1])
    """Threads of every entry; several values are measured one after the other."""


class ImportDevice(Settings):
    """Any other device: somebody measured there and sent a JSON file."""

    kind: Literal["import"]
    """What kind of device this is."""
    file: str = Field(min_length=1)
    """The JSON file (docs/devices.md)."""


Device = LocalDevice | AdbDevice | ImportDevice


def processor(device: Device) -> Processor:
    """What computes on this machine: the processor of a local device; the CPU attends to any other one."""
    return device.processor if isinstance(device, LocalDevice) else "cpu"


def most_threads(device: Device) -> int:
    """The most threads of a benchmark on this machine: those of a local device, else one."""
    return max(device.threads) if isinstance(device, LocalDevice) else 1


KINDS: dict[str, type[LocalDevice] | type[AdbDevice] | type[ImportDevice]] = {
    "local": LocalDevice,
    "adb": AdbDevice,
    "import": ImportDevice,
}


def device_names(folder: Path = FOLDER) -> list[str]:
    """The names of all devices, in order."""
    return sorted({path.stem for each in (folder, packaged("devices")) for path in each.glob("*.yaml")})


def load_device(name: str, *, folder: Path = FOLDER) -> Device:
    """A device by its name; UserError for an unknown name, with a suggestion, and for a bad file."""
    known = device_names(folder)
    if name not in known:
        raise UserError(f"benchmark.devices: no device '{name}' in {folder}; {did_you_mean(name, known)}")
    own = folder / f"{name}.yaml"
    path = own if own.exists() else packaged(f"devices/{name}.yaml")
    return parse_device(read_yaml(path), origin=str(path))


def device_recipe(device: Device) -> dict[str, Any]:
    """The part of a device that decides a measurement; not which of several phones it is or where programs lie.

    An imported device counts by the content of its file, which must exist.
    """
    if not isinstance(device, ImportDevice):
        return device.model_dump(exclude={"serial", "folder", "binaries"})
    path = Path(device.file)
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the device's `file`")
    return {"kind": device.kind, "sha256": file_sha256(path)}


def parse_device(values: Mapping[str, Any], *, origin: str) -> Device:
    """A validated device from plain values; UserError with the origin and the key for wrong ones."""
    return validated_kind(KINDS, values, origin=origin)
