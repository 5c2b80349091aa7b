"""Conditions of a latency. Light: no torch here."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError

if TYPE_CHECKING:
    from distilgrid.benchmark.settings import Benchmark

VERSION = 2
"""Raised when a measured latency of a shape may change: earlier measurements no longer count."""


@dataclass(frozen=True)
class Conditions:
    """Conditions of a measurement: a latency, or a predictor of it, holds for these alone."""

    device: str  # name of the device
    runtime: str  # runtime that executed the models
    threads: int  # threads of each run
    batch: int  # rows of a run
    length: int  # tokens of a row
    fused: bool = True  # whether the runtime may rewrite the graph

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without `fused` where the runtime may rewrite the graph."""
        values = asdict(self)
        return values if not self.fused else {name: value for name, value in values.items() if name != "fused"}


def measured(protocol: "Benchmark", device: str, runtime: str, *, fused: bool, asked: str = "--device") -> Conditions:
    """What is measured: the device's first number of threads, the protocol's first batch size and last length.

    Raises:
        UserError: when the device, which `asked` named, is another machine, or a GPU.
    """
    from distilgrid.devices.settings import LocalDevice, load_device

    where = load_device(device)
    if not isinstance(where, LocalDevice) or where.processor != "cpu":
        raise UserError(f"{asked}: shapes are measured on a CPU of this machine, and '{device}' names another device")
    return Conditions(device, runtime, where.threads[0], protocol.batch_sizes[0], protocol.lengths[-1], fused=fused)
