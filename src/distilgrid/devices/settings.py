"""Settings of devices: `devices/<name>.yaml`. Light."""

from typing import Literal

from pydantic import Field

from distilgrid.benchmark.settings import Threads
from distilgrid.core.schema import Settings
from distilgrid.devices.android.settings import AdbDevice
from distilgrid.runtimes.base import Processor


class LocalDevice(Settings):
    """The machine that the benchmark runs on."""

    kind: Literal["local"] = "local"
    """What kind of device this is."""
    processor: Processor = "cpu"
    """What computes: the CPU, or a GPU by CUDA."""
    threads: Threads = Field(default=[1])
    """Threads of every candidate; several values are measured one after the other."""


class ImportDevice(Settings):
    """Any other device: somebody measured there and sent a JSON file."""

    kind: Literal["import"]
    """What kind of device this is."""
    file: str = Field(min_length=1)
    """The JSON file (docs/devices.md)."""


Device = LocalDevice | AdbDevice | ImportDevice


def most_threads(device: Device) -> int:
    """The most threads of a benchmark on this machine: those of a local device, else one."""
    return max(device.threads) if isinstance(device, LocalDevice) else 1


KINDS: dict[str, type[LocalDevice] | type[AdbDevice] | type[ImportDevice]] = {
    "local": LocalDevice,
    "adb": AdbDevice,
    "import": ImportDevice,
}
