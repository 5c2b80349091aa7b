"""Settings of exports and of the latency protocol. Light."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from distilgrid.core.errors import did_you_mean
from distilgrid.core.machine import MOST_THREADS
from distilgrid.core.schema import Settings, each_once
from distilgrid.runtimes.registry import OWN_RUNTIMES, RUNTIMES


def _known(name: str) -> str:
    if name not in RUNTIMES:
        raise ValueError(f"unknown runtime; {did_you_mean(name, RUNTIMES)}")
    return name


Runtime = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(OWN_RUNTIMES)})]
DeviceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Threads = Annotated[list[Annotated[int, Field(ge=1, le=MOST_THREADS)]], Field(min_length=1), AfterValidator(each_once)]


class Export(Settings):
    """Which students are exported, and how strict the parity gate is."""

    seeds: Literal["first", "all"] = "first"
    """Export the first seed of each student, or every cell."""
    tolerance: float = Field(default=1e-4, gt=0)
    """Largest absolute difference of logits between a runtime in fp32 and torch."""
    agreement: float = Field(default=0.9, ge=0, le=1)
    """Least share of validation rows on which a runtime in lower precision (int8, bf16, fp16) predicts torch's label;
    of numbers the least correlation of its numbers with torch's."""


class Benchmark(Settings):
    """The latency protocol, as data."""

    devices: list[DeviceName] = Field(default=["local-cpu"], min_length=1)
    """Where models are measured: files of the folder `devices`, by name. Tables of scores show the first one."""
    runtimes: list[Runtime] = Field(default=["torch-eager-fp32", "onnxruntime-fp32", "onnxruntime-int8"], min_length=1)
    """Names of runtimes, by engine and precision: torch for trained models, others for exports."""
    batch_sizes: list[Annotated[int, Field(ge=1)]] = Field(default=[1], min_length=1)
    """Batch sizes to measure."""
    lengths: list[Annotated[int, Field(ge=4, le=512)]] = Field(default=[32, 128], min_length=1)
    """Sequence lengths in tokens to measure."""
    cores: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(each_once)] | None = None
    """Numbers of the cores to run on; the first ones are taken, one for each thread. null takes the last that the
    process may use."""
    texts: int = Field(default=0, ge=0)
    """Validation texts, spread evenly over the task's lengths, to measure one by one: the model alone at its own
    length, and from text to label with the tokeniser. 0 measures fixed lengths only."""
    unfused: bool = False
    """Measure graph runtimes without rewriting the graph, too."""
    footprint: bool = False
    """Measure load time and peak memory, each entry in a separate process."""
    warmup: int = Field(default=5, ge=0)
    """Untimed runs per entry and shape."""
    repetitions: int = Field(default=50, ge=3)
    """Least number of timed runs per entry and shape, taken in turns (ABAB) within one process."""
    max_repetitions: int = Field(default=400, ge=3)
    """Most timed runs: further ones are taken until the median is known to `precision`."""
    precision: float = Field(default=0.03, gt=0, lt=1)
    """Width of the 95 % confidence interval of the median, as a share of it, at which an entry is done."""
    max_drift: float = Field(default=0.05, gt=0, lt=1)
    """Largest change of the median from the first half of a measurement to the second, as a share; one that drifts
    further is taken again. One that drifts again, or whose median's interval is wider than this, is marked as noisy."""
    retries: int = Field(default=2, ge=0)
    """Number of times that a drifting measurement is taken again."""

    def of_shapes(self) -> dict[str, Any]:
        """The part of the protocol that decides the measurement of one shape on one runtime."""
        return self.model_dump(exclude={"devices", "runtimes", "batch_sizes", "lengths", "texts"})
