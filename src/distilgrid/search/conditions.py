"""Conditions of a latency. Light: no torch here."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.runtimes.base import Processor

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
    processor: Processor = "cpu"  # part of the device that computes

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without `fused` and `processor` where they are the usual ones."""
        usual = {"fused": True, "processor": "cpu"}
        return {name: value for name, value in asdict(self).items() if name not in usual or value != usual[name]}


def measured(protocol: "Benchmark", device: str, runtime: str, *, fused: bool, asked: str = "--device") -> Conditions:
    """What is measured: the device's first number of threads, the protocol's first batch size and last length.

    Raises:
        UserError: when the device, which `asked` named, is another machine, or has a processor without this runtime.
    """
    from distilgrid.devices.settings import LocalDevice, load_device
    from distilgrid.runtimes.registry import RUNTIMES, find_runtime

    where = load_device(device)
    if not isinstance(where, LocalDevice):
        raise UserError(f"{asked}: shapes are measured on this machine, and '{device}' names another one")
    if where.processor not in find_runtime(runtime).processors:
        able = ", ".join(name for name, entry in RUNTIMES.items() if where.processor in entry.processors)
        raise UserError(
            f"{asked}: runtime '{runtime}' does not run on the {where.processor} of '{device}'; take one of: {able}"
        )
    batch, length = protocol.batch_sizes[0], protocol.lengths[-1]
    return Conditions(device, runtime, where.threads[0], batch, length, fused=fused, processor=where.processor)
