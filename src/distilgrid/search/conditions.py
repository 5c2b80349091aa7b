"""What a latency is the latency of. Light: no torch here."""

from dataclasses import asdict, dataclass
from typing import Any

VERSION = 2
"""Bumped when a measured latency of a shape may change: what was measured before no longer counts."""


@dataclass(frozen=True)
class Conditions:
    """What was measured: a latency, or a predictor of it, holds for these alone."""

    device: str  # name of the machine
    runtime: str  # what executed the models
    threads: int  # of each run
    batch: int  # rows of a run
    length: int  # tokens of a row
    fused: bool = True  # whether the runtime may rewrite the graph

    def as_dict(self) -> dict[str, Any]:
        """Plain values; what is not said of the graph means that it may be rewritten."""
        values = asdict(self)
        return values if not self.fused else {name: value for name, value in values.items() if name != "fused"}
