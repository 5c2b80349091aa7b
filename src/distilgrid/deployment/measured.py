"""The measurement that counts for a choice, and its conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilgrid.benchmark.labels import device_label, phone_note, precision_of, processor_of
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.machine import LOW_PRECISION
from distilgrid.reporting import wording
from distilgrid.runtimes.base import IMAGE_LENGTH, Processor

Shape = Mapping[str, Any]
KINDS = ("texts", "text-to-label")
PERCENTILES = ("p50", "p90", "p95", "p99")


@dataclass(frozen=True)
class Where:
    """The measurement that counts."""

    device: str  # a device of the grid
    at: str | None = None  # a length in tokens, `texts` or `text-to-label`; None takes the longest length
    threads: int = 1  # number of threads
    percentile: str = "p50"  # one of `PERCENTILES`


@dataclass(frozen=True)
class LatencyConditions:
    """The conditions of a latency."""

    device: str  # the device's name in the grid
    machine: str  # the processor's name, with the threads of a CPU
    processor: Processor  # `cpu` or `cuda`
    threads: int  # threads of one call, or of the CPU that feeds a GPU
    batch_size: int  # rows in one call
    at: str  # a length in tokens, `texts`, `text-to-label`, or the noun of a row without a length
    percentile: str  # the percentile that the latency is
    runtime: str  # the runtime's name
    precision: str  # precision of the weights
    features: str | None  # the CPU's features for arithmetic in a low precision: names, `none` or `unknown`

    @property
    def words(self) -> str:
        """The conditions in words."""
        threads = wording.plural(self.threads, "thread")
        texts = {"texts": "the task's own texts", "text-to-label": "from text to label"}
        read = texts.get(self.at) or (f"{self.at} tokens" if self.at.isdecimal() else f"one {self.at}")
        place = self.machine if self.processor == "cpu" else f"{self.machine} fed by {threads}"
        said = f"{self.percentile} at batch size {self.batch_size}, {read}, "
        said += f"on {place} ({self.device}), in {self.runtime} with weights in {self.precision}"
        return said + (f"; the CPU's features for {self.precision}: {self.features}" if self.features else "")


def wanted_shape(shapes: Sequence[Shape], task: str, where: Where) -> tuple[str, int, int | None]:
    """The kind, batch size and length that count for all models. Raises UserError when none was measured so."""
    of = f"nothing of '{task}' was measured"
    if not shapes:
        raise UserError(f"--device: {of} on '{where.device}'; see the reasons in the grid's report")
    known = sorted({int(shape["threads"]) for shape in shapes})
    if where.threads not in known:
        words = f"{of} on '{where.device}' with {wording.plural(where.threads, 'thread')}"
        raise UserError(f"--threads: {words}; choose one of: {', '.join(map(str, known))}")
    own = [shape for shape in shapes if shape["threads"] == where.threads]
    fitting = [s for s in own if (where.at is None and s["kind"] == "shape") or _way(s) == where.at]
    if not fitting:
        at = where.at or "a fixed length"
        hint = " (texts are measured where `benchmark.texts` says how many)" if where.at in KINDS else ""
        raise UserError(f"--at: {of} at {at}; {did_you_mean(str(where.at), {_way(s) for s in own})}{hint}")
    found = max(fitting, key=lambda s: (s["length"] or 0, -s["batch_size"]))
    return found["kind"], found["batch_size"], found["length"]


def _way(shape: Shape) -> str:
    return str(shape["kind"]) if shape["kind"] in KINDS else str(shape["length"])


def find_shape(shapes: Sequence[Shape], wanted: tuple[str, int, int | None], threads: int) -> Shape | None:
    """The measurement, or the skipped one, of a kind, batch size and length, or None."""
    names, key = ("kind", "batch_size", "length", "threads"), (*wanted, threads)
    return next((shape for shape in shapes if tuple(shape.get(name) for name in names) == key), None)


def latency(shape: Shape, percentile: str) -> float | None:
    """A percentile in ms, as stored or from the raw samples, or None."""
    stored = shape.get(f"{percentile}_ms")
    if stored is None and shape.get("samples_ms"):
        return float(np.percentile(shape["samples_ms"], int(percentile[1:])))
    return None if stored is None else float(stored)


def conditions(
    benchmark: Mapping[str, Any], shape: Shape, where: Where, runtime: str, *, row: str
) -> LatencyConditions:
    """The conditions of a measurement in a `benchmark.json`; `row` is the task's noun for a row."""
    machine, kind = benchmark["machine"], benchmark["kind"]
    processor, precision = processor_of(benchmark), precision_of(runtime)
    place = device_label(machine, threads=where.threads, kind=kind, processor=processor)
    note = phone_note(machine, runtime=runtime, kind=kind)
    return LatencyConditions(
        device=where.device,
        machine=f"{place}, {note}" if note else place,
        processor=processor,
        threads=where.threads,
        batch_size=shape["batch_size"],
        at=row if shape["length"] == IMAGE_LENGTH else _way(shape),
        percentile=where.percentile,
        runtime=runtime,
        precision=precision,
        features=_features(machine, precision) if processor == "cpu" else None,
    )


def _features(machine: Mapping[str, Any], precision: str) -> str | None:
    """Names of the recorded features for a low precision, `none` or `unknown`."""
    if precision not in LOW_PRECISION:
        return None
    flags = machine.get("flags")
    if flags is None:
        return "unknown"
    return ", ".join(flag for flag in flags if flag in LOW_PRECISION[precision]) or "none"
