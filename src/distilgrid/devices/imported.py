"""Latencies measured elsewhere: the format of the JSON files, reading and writing. Light.

One file holds one device. It names neither a host nor a person.
"""

import datetime
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic import StringConstraints as Text

from distilgrid.benchmark.labels import named_precisions, precision_of
from distilgrid.core.errors import UNPRINTABLE, UserError
from distilgrid.core.machine import X86_FLAGS
from distilgrid.core.messages import validated
from distilgrid.core.schema import Settings
from distilgrid.runtimes.base import Processor

PERCENTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
X86 = re.compile(r"x86|amd64|\b(?:i[3-6]86|x64|intel|amd|xeon|epyc|ryzen)\b", re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _printable(text: str) -> str:
    """Refuse line breaks: texts reach captions of tables."""
    if UNPRINTABLE.search(text):
        raise ValueError("must hold no line breaks or other control characters")
    return text


def _plain_date(value: object) -> object:
    if not isinstance(value, datetime.date) and not (isinstance(value, str) and DATE.fullmatch(value)):
        raise ValueError("must be a date like 2026-01-31")
    return value


def _past(date: datetime.date) -> datetime.date:
    today = datetime.datetime.now(datetime.UTC).date()
    if date > today + datetime.timedelta(days=1):  # it may be tomorrow elsewhere
        raise ValueError(f"is in the future, today is {today}")
    return date


Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Words = Annotated[str, Text(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)]
Day = Annotated[datetime.date, Field(strict=False), BeforeValidator(_plain_date), AfterValidator(_past)]


class Sent(Settings):
    """Settings that another program wrote: a number must be a number, neither a text nor a truth value."""

    model_config = ConfigDict(strict=True)


class Description(Sent):
    """The device. No host name, no user name, no serial number."""

    name: Annotated[str, Text(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ()+.,_-]{0,59}$")]
    """What people call it: Raspberry Pi 5, Pixel 8."""
    cpu: Words
    """The processor."""
    processor: Processor = "cpu"
    """What computed: the CPU, or a GPU by CUDA."""
    cores: int = Field(ge=1)
    """Cores that the measurement could use."""
    flags: list[Words] | None = None
    """Features of the processor that decide speed at low precision, as the kernel names them: asimddp, i8mm, avx2.
    Empty where it has none, null where they are not known."""
    memory_gib: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Main memory; 0 where it is not known."""
    system: Words
    """Operating system and architecture: Linux aarch64, Android 16 arm64-v8a."""
    phone: bool = False
    """Whether it is a real phone or tablet; not an emulator, not a board, and never with an x86 processor."""

    @model_validator(mode="after")
    def _no_x86_phone(self) -> Self:
        if self.phone and is_x86(f"{self.cpu} {self.system}", self.flags or ()):
            raise ValueError("phone: true, but the processor is an x86 one, which no phone's latency comes from")
        return self


def is_x86(words: str, flags: Iterable[str]) -> bool:
    """Whether the words for a processor and its system, or its features, mean x86."""
    return X86.search(words) is not None or not set(X86_FLAGS).isdisjoint(flags)


class SentShape(Sent):
    """What one call reads."""

    batch_size: int = Field(ge=1)
    """Rows in one call."""
    length: int = Field(ge=1)
    """Tokens; 1 for images."""


class Times(SentShape):
    """The measurement of one shape: raw samples, or percentiles and the number of runs that they are of."""

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
    def _one_form(self) -> Self:
        known = [value for name in PERCENTILES if (value := getattr(self, name)) is not None]
        if self.samples_ms is not None:
            if known or self.n is not None:
                raise ValueError("give either samples_ms or percentiles with n, not both")
            if self.turn is not None and self.turn > len(self.samples_ms):
                raise ValueError(f"turn: {self.turn} samples in a row, but there are {len(self.samples_ms)}")
            return self
        if self.n is None or self.p50_ms is None:
            raise ValueError("give samples_ms, or p50_ms with n")
        if known != sorted(known):
            raise ValueError("percentiles must not fall")
        return self


class Skipped(SentShape):
    """A shape that could not be measured."""

    reason: Annotated[str, Text(min_length=1, max_length=500), AfterValidator(_printable)]
    """Why, in one line."""

    @classmethod
    def because(cls, reason: object, *, batch_size: int, length: int) -> Self:
        """A skipped shape with any text of a program as its reason."""
        plain = " ".join(UNPRINTABLE.sub(" ", str(reason)).split()) or "no reason given"
        return cls(batch_size=batch_size, length=length, reason=plain[:500])


class Measurement(Sent):
    """One model on one runtime with a number of threads."""

    model: Annotated[str, Text(pattern=r"^([0-9a-f]{12}|[0-9a-f]{64})$")]
    """Which one: the trained model's key (the end of its folder's name; `recipe.inputs.model` in an export's
    `run.json`), or the SHA-256 of the model file that ran."""
    runtime: Annotated[str, Text(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """What executed it: a name of `benchmark.runtimes` where it is one of those, else the engine's own."""
    precision: Annotated[str, Text(pattern=r"^(fp|bf|int)[0-9]+$")]
    """Of the weights: fp32, fp16, int8."""
    threads: int = Field(ge=1)
    """Threads of one call."""
    shapes: list[Times] = Field(default=[])
    """What was measured."""
    skipped_shapes: list[Skipped] = Field(default=[])
    """What could not be."""

    @classmethod
    def of(cls, found: Sequence[Times | Skipped], *, model: str, runtime: str, threads: int) -> Self:
        """A measurement of one of our exports; the runtime's name contains the precision."""
        shapes = [row for row in found if isinstance(row, Times)]
        skipped = [row for row in found if isinstance(row, Skipped)]
        about: dict[str, Any] = {"model": model, "runtime": runtime, "threads": threads}
        return cls(**about, precision=precision_of(runtime), shapes=shapes, skipped_shapes=skipped)

    @property
    def runtime_name(self) -> str:
        """The runtime's name with its precision, as the registry writes them."""
        return self.runtime if self.precision in self.runtime.split("-") else f"{self.runtime}-{self.precision}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        named = named_precisions(self.runtime)
        if named and self.precision not in named:
            raise ValueError(f"precision: {self.precision}, but runtime '{self.runtime}' says {' and '.join(named)}")
        rows = {f"shapes.{n}": (row.batch_size, row.length) for n, row in enumerate(self.shapes)}
        rows |= {f"skipped_shapes.{n}": (row.batch_size, row.length) for n, row in enumerate(self.skipped_shapes)}
        _check_once(rows, "batch size and length")
        return self


class Imported(Sent):
    """What was measured on one device."""

    format: Literal[1]
    """The version of this format."""
    device: Description
    """Where."""
    tool: Words
    """With what, and its version: distilgrid 0.1.0."""
    date: Day
    """When: 2026-01-31."""
    measurements: list[Measurement] = Field(min_length=1)
    """What."""

    @classmethod
    def today(cls, *, device: Description, tool: str, measurements: list[Measurement]) -> Self:
        """Measurements of today."""
        today = datetime.datetime.now(datetime.UTC).date()
        return cls(format=1, device=device, tool=tool, date=today, measurements=measurements)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        rows = {f"measurements.{n}": (m.model, m.runtime_name, m.threads) for n, m in enumerate(self.measurements)}
        _check_once(rows, "model, runtime and number of threads")
        return self


def _check_once(rows: dict[str, tuple[Any, ...]], what: str) -> None:
    """Refuse a second row about the same thing; name both."""
    first: dict[tuple[Any, ...], str] = {}
    for name, about in rows.items():
        if about in first:
            raise ValueError(f"{name}: has the same {what} as {first[about]}; keep one of them")
        first[about] = name


def read_import(path: Path) -> Imported:
    """The measurements of a file; UserError with the file and the key for a bad one."""
    try:
        values: Any = json.loads(path.read_bytes())  # UTF-8, or UTF-16 with its mark, as PowerShell writes it
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:  # of JSON or of UTF-8
        raise UserError(f"{path}: not valid JSON: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid here: brackets within brackets, thousands of them deep") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold an object, found {type(values).__name__}")
    return validated(Imported, values, origin=str(path))


def write_import(path: Path, found: Imported) -> None:
    """Write a file for `read_import`; UserError when it cannot be written."""
    from distilgrid.core.artefacts import readable_os_errors

    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
