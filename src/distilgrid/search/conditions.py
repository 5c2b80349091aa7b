"""What a latency is the latency of. Light: no torch here."""

from dataclasses import asdict, dataclass
from typing import Any

VERSION = 2
"""Bumped when a measured latency of a shape may change: what was measured before no longer counts."""


@dataclass(frozen=True)
class Conditions:
    """What was measured: a latency, or a predictor of it, holds for these alone.

    Attributes:
        device: name of the machine.
        runtime: what executed the models.
        threads: of each run.
        batch: rows of a run.
        length: tokens of a row.
        fused: whether the runtime may rewrite the graph.
    """

    device: str
    runtime: str
    threads: int
    batch: int
    length: int
    fused: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain values; what is not said of the graph means that it may be rewritten."""
        values = asdict(self)
        return values if not self.fused else {name: value for name, value in values.items() if name != "fused"}
