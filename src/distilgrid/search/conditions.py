"""Conditions of a latency. Light: no torch here."""

from dataclasses import asdict, dataclass
from typing import Any

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
