"""The entries of a benchmark: each model on each runtime, with its measurements or why it cannot be measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from distilgrid.benchmark.inputs import inputs_of
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished, open_trained
from distilgrid.models.facts import longest_input
from distilgrid.models.io import load_tokenizer
from distilgrid.runtimes.base import Processor, Session
from distilgrid.runtimes.registry import find_runtime
from distilgrid.tasks.model_inputs import ModelInputs

Shape = Mapping[str, Any]
"""A measured shape: `kind` (`shape`, `texts` or `text-to-label`), `threads`, `batch_size`, `length` in tokens."""


@dataclass(frozen=True)
class Model:
    """A trained model's folder, verified, with its `run.json`, `metrics.json` and `config.json`."""

    folder: Path
    run: Mapping[str, Any]
    metrics: dict[str, Any]
    config: dict[str, Any]

    @property
    def role(self) -> str:
        """`teacher` or `student`."""
        return "teacher" if self.run["labels"].get("method") == "teacher" else "student"

    @property
    def longest(self) -> int | None:
        """The longest input in tokens that its position embeddings allow; None without such a limit."""
        return longest_input(self.config)

    @cached_property
    def input_names(self) -> list[str]:
        """The inputs that its tokeniser gives; models of texts only."""
        return list(load_tokenizer(self.folder).model_input_names)

    @cached_property
    def reads(self) -> ModelInputs:
        """Its inputs."""
        return inputs_of(self.config, lambda: self.input_names)


@dataclass(frozen=True)
class ExportFolder:
    """An exported model's folder, verified, with its `run.json` and `parity.json`."""

    folder: Path
    run: Mapping[str, Any]
    parity: dict[str, Any]


@dataclass
class Entry:
    """A model on a runtime, which loads `folder`, on the way to its entry in `benchmark.json`."""

    model: Model
    runtime: str
    folder: Path
    size_bytes: int | None  # of the model's files; None without an export
    skipped: str | None = None  # the reason why it cannot be measured
    optimised: bool = True  # whether the runtime may rewrite the graph
    session: Session | None = None  # None before it is loaded, or if it cannot run
    footprint: dict[str, Any] | None = None
    shapes: list[dict[str, Any]] = field(default_factory=list)
    skipped_shapes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return str(self.model.run["labels"]["student"])

    def as_dict(self) -> dict[str, Any]:
        """The entry in `benchmark.json`; one whose shapes are all skipped is skipped as a whole."""
        unmeasured = self.skipped_shapes[0]["reason"] if self.skipped_shapes and not self.shapes else None
        return {
            "name": self.name,
            "role": self.model.role,
            "runtime": self.runtime,
            "optimised": self.optimised,
            "parameters": self.model.metrics["parameters"],
            "size_bytes": self.size_bytes,
            "skipped": unmeasured or self.skipped,
            "footprint": self.footprint,
            "shapes": self.shapes,
            "skipped_shapes": self.skipped_shapes,
        }

    def skip(self, shape: Shape, reason: str) -> None:
        """Keep the reason for a shape that is not measured."""
        self.skipped_shapes.append({**shape, "reason": reason})


def open_model(folder: Path) -> Model:
    """Open a trained model; UserError when files are missing or damaged, or the folder holds something else."""
    found = open_trained(folder)
    return Model(folder, found.run, found.json("metrics.json"), found.json("config.json"))


def open_export(folder: Path, models: Sequence[Model]) -> ExportFolder:
    """Open an export of one of the models; UserError when files are missing or damaged, or its model is another."""
    found = open_finished(folder, stage="export")
    origin = found.run["recipe"]["inputs"]["model"]
    if origin not in {model.run["key"] for model in models}:
        raise UserError(f"{folder}: made from a model with key {origin}; pass that model too")
    return ExportFolder(folder, found.run, found.json("parity.json"))


def list_entries(
    models: Sequence[Model], exports: Sequence[ExportFolder], settings: Benchmark, processor: Processor
) -> list[Entry]:
    """Each model on each runtime, in this order; with `unfused`, graph runtimes also without their optimisation."""
    by_origin = {(e.run["recipe"]["inputs"]["model"], e.parity["runtime"]): e for e in exports}
    found = []
    for model in models:
        for name in settings.runtimes:
            entry = _entry(model, name, by_origin.get((model.run["key"], name)), processor)
            found.append(entry)
            if settings.unfused and find_runtime(name).graph and entry.skipped is None:
                found.append(Entry(model, name, entry.folder, entry.size_bytes, optimised=False))
    return found


def _entry(model: Model, name: str, export: ExportFolder | None, processor: Processor) -> Entry:
    runtime = find_runtime(name)
    if processor not in runtime.processors:
        return Entry(model, name, model.folder, None, f"does not run on {processor}")
    if runtime.reference:
        return Entry(model, name, model.folder, model.metrics["size_bytes"])
    if export is None:
        return Entry(model, name, model.folder, None, "not exported for this runtime")
    reason = None if export.parity["accepted"] else f"export rejected: {export.parity['reason']}"
    return Entry(model, name, export.folder if runtime.exported else model.folder, export.parity["size_bytes"], reason)
