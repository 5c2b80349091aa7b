"""Latencies measured elsewhere: the format of the JSON files that people send, and reading them. Light.

One file holds one device. Nothing in it names a host or a person.
"""

import datetime
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from distilgrid.errors import UserError
from distilgrid.messages import first_problem
from distilgrid.runtimes.base import Processor
from distilgrid.schema import Settings

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
PERCENTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")


class Description(Settings):
    """The device. No host name, no user name, no serial number."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ()+.,_-]{0,59}$")]
    """What people call it: Raspberry Pi 5, Pixel 8."""
    cpu: Words
    """The processor."""
    processor: Processor = "cpu"
    """What computed: the CPU, or a GPU by CUDA."""
    cores: int = Field(ge=1)
    """Cores that the measurement could use."""
    flags: list[Words] = Field(default=[])
    """Features of the processor that decide speed at low precision, as the kernel names them: asimd, i8mm, avx2."""
    memory_gib: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Main memory; 0 where it is not known."""
    system: Words
    """Operating system and architecture: Linux aarch64, Android 16 arm64-v8a."""
    phone: bool = False
    """Whether it is a real phone or tablet; not an emulator, not a board."""


class Times(Settings):
    """The measurement of one shape: raw samples, or percentiles and the number of runs that they are of."""

    batch_size: int = Field(ge=1)
    """Rows in one call."""
    length: int = Field(ge=1)
    """Tokens; 1 for images."""
    samples_ms: list[Milliseconds] | None = Field(default=None, min_length=3)
    """Every timed run, in the order taken; warm-up runs left out."""
    turn: int | None = Field(default=None, ge=1)
    """How many samples in a row were taken before another model had its turn; null where models took no turns."""
    n: int | None = Field(default=None, ge=1)
    """Timed runs, where only percentiles are known."""
    p50_ms: Milliseconds | None = None
    """The median, where there are no samples."""
    p90_ms: Milliseconds | None = None
    """The 90th percentile, likewise."""
    p95_ms: Milliseconds | None = None
    """The 95th percentile, likewise."""
    p99_ms: Milliseconds | None = None
    """The 99th percentile, likewise."""

    @model_validator(mode="after")
    def _one_form(self) -> "Times":
        known = [value for name in PERCENTILES if (value := getattr(self, name)) is not None]
        if self.samples_ms is not None:
            if known or self.n is not None:
                raise ValueError("give either samples_ms or percentiles with n, not both")
            return self
        if self.n is None or self.p50_ms is None:
            raise ValueError("give samples_ms, or p50_ms with n")
        if known != sorted(known):
            raise ValueError("percentiles must not fall")
        return self


class Skipped(Settings):
    """A shape that could not be measured."""

    batch_size: int = Field(ge=1)
    """Rows in one call."""
    length: int = Field(ge=1)
    """Tokens; 1 for images."""
    reason: str = Field(min_length=1, max_length=500)
    """Why, in one line."""


class Measurement(Settings):
    """One model on one runtime with so many threads."""

    model: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{12}|[0-9a-f]{64})$")]
    """Which one: the trained model's key (the end of its folder's name; `recipe.inputs.model` in an export's
    `run.json`), or the SHA-256 of the model file that ran."""
    runtime: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """What executed it: a name of `benchmark.runtimes` where it is one of those, else the engine's own."""
    precision: Annotated[str, StringConstraints(pattern=r"^(fp|bf|int)[0-9]+$")]
    """Of the weights: fp32, fp16, int8."""
    threads: int = Field(ge=1)
    """Threads of one call."""
    shapes: list[Times] = Field(default=[])
    """What was measured."""
    skipped_shapes: list[Skipped] = Field(default=[])
    """What could not be."""


class Imported(Settings):
    """What was measured on one device."""

    format: Literal[1]
    """The version of this format."""
    device: Description
    """Where."""
    tool: Words
    """With what, and its version: distilgrid 0.1.0."""
    date: datetime.date
    """When: 2026-01-31."""
    measurements: list[Measurement] = Field(min_length=1)
    """What."""


def read_import(path: Path) -> Imported:
    """The measurements of a file.

    Raises:
        UserError: one line naming the file and the key.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:  # of JSON or of UTF-8
        raise UserError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold an object, found {type(values).__name__}")
    try:
        return Imported.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error, Imported.model_json_schema())}") from None


def write_import(path: Path, found: Imported) -> None:
    """Write a file that `read_import` reads.

    Raises:
        UserError: when it cannot be written.
    """
    from distilgrid.artefacts import readable_os_errors

    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")


def schema_text() -> str:
    """The format as JSON Schema; a test keeps `workflow/schemas/imported_benchmark.schema.json` equal to it."""
    schema = Imported.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2) + "\n"
