"""Stage `benchmark`: the latency of trained models on every runtime, measured side by side in one process."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilgrid.artefacts import write_json, writing
from distilgrid.benchmark.candidates import Candidate, list_candidates, open_export, open_model
from distilgrid.benchmark.protocol import BURST, PRIMING, SEED, measure, pinned, summary
from distilgrid.errors import UserError
from distilgrid.machine import describe_machine
from distilgrid.params import Benchmark
from distilgrid.recipes import benchmark_recipe
from distilgrid.runtimes.base import IMAGE_LENGTH, Execution, Session
from distilgrid.runtimes.registry import open_runtime

NOISY = 1.5
log = logging.getLogger(__name__)


@dataclass
class Entry:
    """A candidate in the making of its entry in `benchmark.json`; `session` is None when it is skipped."""

    candidate: Candidate
    session: Session | None
    shapes: list[dict[str, Any]] = field(default_factory=list)
    skipped_shapes: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The entry; a candidate with no shape left is skipped as a whole."""
        described = self.candidate.describe()
        if self.skipped_shapes and not self.shapes:
            described["skipped"] = self.skipped_shapes[0]["reason"]
        return {**described, "shapes": self.shapes, "skipped_shapes": self.skipped_shapes}


def benchmark(
    *, settings: Benchmark, models: list[Path], exports: list[Path], out: Path, labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure the models and their exports; returns what `benchmark.json` holds.

    Raises:
        UserError: when an input is missing or damaged, an export belongs to none of the models, a runtime's packages
            are missing, or the process may not use as many cores as the protocol says.
    """
    if not models:
        raise UserError("--model: give the folder of at least one trained model")
    trained = [open_model(folder) for folder in models]
    converted = [open_export(folder, trained) for folder in exports]
    recipe = benchmark_recipe(
        settings=settings, models=[m.run["key"] for m in trained], exports=[e.run["key"] for e in converted]
    )
    with writing(out, recipe=recipe, labels=labels) as folder:
        result = _run(settings, list_candidates(trained, converted, settings.runtimes))
        write_json(folder / "benchmark.json", result)
        return result


def _run(settings: Benchmark, candidates: list[Candidate]) -> dict[str, Any]:
    machine, before = describe_machine(), os.getloadavg()
    with pinned(settings.threads) as cores:
        entries = [_load(candidate, threads=settings.threads) for candidate in candidates]
        for batch_size in settings.batch_sizes:
            for length in _lengths(settings, entries):
                _measure_shape(settings, entries, batch_size=batch_size, length=length)
    _warn_if_noisy(entries)
    return {
        "protocol": {**settings.model_dump(), "priming": PRIMING, "burst": BURST, "seed": SEED, "cores": cores},
        "machine": machine,
        "device": settings.device,
        "load_average": {"before": list(before), "after": list(os.getloadavg())},
        "candidates": [entry.as_dict() for entry in entries],
    }


def _lengths(settings: Benchmark, entries: list[Entry]) -> list[int]:
    """All lengths at which any of the candidates is measured."""
    found = (entry.candidate.model.lengths(settings.lengths) for entry in entries if entry.session is not None)
    return list(dict.fromkeys(length for lengths in found for length in lengths))


def _load(candidate: Candidate, *, threads: int) -> Entry:
    if candidate.skipped is not None:
        return Entry(candidate, None)
    return Entry(candidate, open_runtime(candidate.runtime).load(candidate.folder, Execution(threads)))


def _measure_shape(settings: Benchmark, entries: list[Entry], *, batch_size: int, length: int) -> None:
    """Time all loaded candidates at one shape and add the samples to their entries."""
    shape = {"batch_size": batch_size, "length": length}
    measured, runs = [], []
    for entry in entries:
        model = entry.candidate.model
        if entry.session is None or length not in model.lengths(settings.lengths):
            continue
        if model.longest is not None and length > model.longest:
            reason = f"length {length} is more than the model's {model.longest} positions"
            entry.skipped_shapes.append({**shape, "reason": reason})
            continue
        measured.append(entry)
        runs.append(entry.session.bind(model.inputs(batch_size, length)))
    label = f"latency at batch {batch_size}" + (f", length {length}" if length != IMAGE_LENGTH else "")
    samples = measure(runs, warmup=settings.warmup, repetitions=settings.repetitions, label=label)
    for entry, times in zip(measured, samples, strict=True):
        entry.shapes.append({**shape, **summary(times)})


def _warn_if_noisy(entries: list[Entry]) -> None:
    """One line when samples scatter; the numbers stay, and so do the raw samples."""
    ratios = [shape["p90_ms"] / shape["p50_ms"] for entry in entries for shape in entry.shapes]
    noisy = sum(ratio > NOISY for ratio in ratios)
    if noisy:
        log.warning(
            "noisy machine: in %d of %d measurements p90 is over %g times p50, at worst %.1f times; "
            "measure again when nothing else runs",
            noisy,
            len(ratios),
            NOISY,
            max(ratios),
        )
