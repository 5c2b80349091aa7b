"""Where a search takes latencies from, as settings. Light: no torch here."""

from typing import Annotated, Literal

from pydantic import Field

from distilgrid.benchmark.settings import Runtime
from distilgrid.runtimes.base import Processor
from distilgrid.schema import Settings


class Measured(Settings):
    """Each architecture is built, exported and timed on this machine; the protocol is that of `benchmark`."""

    kind: Literal["measured"] = "measured"
    """What kind of source this is."""
    runtime: Runtime = "onnxruntime-fp32"
    """What executes the models."""
    fused: bool = True
    """Whether the runtime may rewrite the graph; false needs one that rewrites graphs."""
    processor: Processor = "cpu"
    """What computes."""
    threads: int = Field(default=1, ge=1)
    """Of each run, on a CPU."""
    batch: int = Field(default=1, ge=1)
    """Rows of a run."""
    length: int = Field(default=128, ge=4, le=512)
    """Tokens of a row."""


class Predicted(Settings):
    """A predictor tells latencies, as `distilgrid latency` fits them to a search space."""

    kind: Literal["predicted"] = "predicted"
    """What kind of source this is."""
    folder: str
    """Holds `predictor.json` and `measurements.parquet`."""


LatencySettings = Annotated[Measured | Predicted, Field(discriminator="kind")]
