"""The candidates of a benchmark: each model on each runtime, with a reason for those that cannot be measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from distilgrid.benchmark.inputs import Inputs, describe_inputs, parse_inputs
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import read_json, trained_model, verified
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_tokenizer
from distilgrid.runtimes.base import Processor
from distilgrid.runtimes.registry import find_runtime

SHIFTED_POSITIONS = ("camembert", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod")
"""Model types whose position numbers start after the padding id."""


@dataclass(frozen=True)
class Model:
    """A trained model's folder, verified, with its `run.json`, `metrics.json` and `config.json`."""

    folder: Path
    run: dict[str, Any]
    metrics: dict[str, Any]
    config: dict[str, Any]

    @property
    def role(self) -> str:
        """`teacher` or `student`."""
        return "teacher" if self.run["labels"].get("method") == "teacher" else "student"

    @property
    def longest(self) -> int | None:
        """The longest input in tokens that its position embeddings allow; None without such a limit."""
        positions: int | None = self.config.get("max_position_embeddings")
        if positions and self.config.get("model_type") in SHIFTED_POSITIONS:
            return positions - int(self.config["pad_token_id"]) - 1
        return positions

    @cached_property
    def input_names(self) -> list[str]:
        """The inputs that its tokeniser gives; models of texts only."""
        return list(load_tokenizer(self.folder).model_input_names)

    @property
    def reads_images(self) -> bool:
        """Whether it reads images of one size; others read texts of any length."""
        return "image_size" in self.config

    @cached_property
    def _reads(self) -> Inputs:
        return parse_inputs(describe_inputs(self.config, [] if self.reads_images else self.input_names))

    def lengths(self, asked: Sequence[int]) -> Sequence[int]:
        """The lengths at which it is measured: those asked for, or the single length of images."""
        return self._reads.lengths(asked)

    def inputs(self, batch_size: int, length: int) -> dict[str, np.ndarray]:
        """Random inputs, the same each time.

        Texts are token ids under a full attention mask: (B, L) int64 for each input of the model. Images are
        `pixel_values` (B, C, H, W) uint8, channels last in memory, as in training.
        """
        return self._reads.make(batch_size, length)


@dataclass(frozen=True)
class ExportFolder:
    """An exported model's folder, verified, with its `run.json` and `parity.json`."""

    folder: Path
    run: dict[str, Any]
    parity: dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A model on a runtime, which loads `folder`.

    Attributes:
        size_bytes: of the model's files; None without an export.
        skipped: the reason why it cannot be measured, or None.
        optimised: whether the runtime may rewrite the graph.
    """

    model: Model
    runtime: str
    folder: Path
    size_bytes: int | None
    skipped: str | None = None
    optimised: bool = True

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return str(self.model.run["labels"]["student"])

    def describe(self) -> dict[str, Any]:
        """The entry in `benchmark.json`, without the measurements."""
        return {
            "name": self.name,
            "role": self.model.role,
            "runtime": self.runtime,
            "optimised": self.optimised,
            "parameters": self.model.metrics["parameters"],
            "size_bytes": self.size_bytes,
            "skipped": self.skipped,
        }


def open_model(folder: Path) -> Model:
    """Open a trained model; UserError when files are missing or damaged, or the folder holds something else."""
    run = trained_model(folder)
    return Model(folder, run, read_json(folder / "metrics.json"), read_json(folder / "config.json"))


def open_export(folder: Path, models: Sequence[Model]) -> ExportFolder:
    """Open an export of one of the models; UserError when files are missing or damaged, or its model is another."""
    run = verified(folder, stage="export")
    if run["recipe"]["inputs"]["model"] not in {model.run["key"] for model in models}:
        raise UserError(f"{folder}: made from a model with key {run['recipe']['inputs']['model']}; pass that model too")
    return ExportFolder(folder, run, read_json(folder / "parity.json"))


def list_candidates(
    models: Sequence[Model], exports: Sequence[ExportFolder], settings: Benchmark, processor: Processor
) -> list[Candidate]:
    """Each model on each runtime, in this order; with `unfused`, graph runtimes also without their optimisation."""
    by_origin = {(e.run["recipe"]["inputs"]["model"], e.parity["runtime"]): e for e in exports}
    found = []
    for model in models:
        for name in settings.runtimes:
            candidate = _candidate(model, name, by_origin.get((model.run["key"], name)), processor)
            found.append(candidate)
            if settings.unfused and find_runtime(name).graph and candidate.skipped is None:
                found.append(replace(candidate, optimised=False))
    return found


def _candidate(model: Model, runtime: str, export: ExportFolder | None, processor: Processor) -> Candidate:
    entry = find_runtime(runtime)
    if processor not in entry.processors:
        return Candidate(model, runtime, model.folder, None, f"does not run on {processor}")
    if entry.reference:
        return Candidate(model, runtime, model.folder, model.metrics["size_bytes"])
    if export is None:
        return Candidate(model, runtime, model.folder, None, "not exported for this runtime")
    reason = None if export.parity["accepted"] else f"export rejected: {export.parity['reason']}"
    loaded = export.folder if entry.exported else model.folder
    return Candidate(model, runtime, loaded, export.parity["size_bytes"], reason)
