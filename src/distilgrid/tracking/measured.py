"""What exports and benchmarks of a plan say about a cell: int8 score, sizes, latency, speed-up against the teacher."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilgrid.artefacts import is_complete, read_json
from distilgrid.grid import Artefact, Plan

INT8 = "onnxruntime-int8"


@dataclass(frozen=True)
class Found:
    """Metrics, and tags that say which files they come from."""

    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def shape_name(runtime: str, batch_size: int, length: int) -> str:
    """How metrics call a runtime and an input shape."""
    return f"{runtime}-b{batch_size}-len{length}"


class Measured:
    """The finished exports and benchmarks of a plan, by the model they belong to."""

    def __init__(self, plan: Plan, results: Path) -> None:
        self.results = results
        self.teachers = {_pair(teacher): teacher for teacher in plan.teachers}
        self.exports = [export for export in plan.exports if is_complete(results / export.folder)]
        done = [benchmark for benchmark in plan.benchmarks if is_complete(results / benchmark.folder)]
        self.benchmarks = {_pair(benchmark): benchmark for benchmark in done}
        self.candidates = {
            pair: read_json(results / benchmark.folder / "benchmark.json")["candidates"]
            for pair, benchmark in self.benchmarks.items()
        }

    def of(self, model: Artefact, metrics: Mapping[str, Any]) -> Found:
        """Everything measured on a model after its training."""
        found = Found()
        self._against_teacher(model, metrics, found)
        self._exported(model, found)
        self._speed(model, found)
        return found

    def _against_teacher(self, model: Artefact, metrics: Mapping[str, Any], found: Found) -> None:
        folder = self.results / self.teachers[_pair(model)].folder
        if is_complete(folder):
            score = read_json(folder / "metrics.json")["score"]
            if score > 0:  # a share of nothing, or of a negative correlation, means nothing
                found.metrics["score_vs_teacher"] = metrics["score"] / score

    def _exported(self, model: Artefact, found: Found) -> None:
        for export in self.exports:
            if export.inputs["model"] is not model:
                continue
            runtime = str(export.labels["runtime"])
            found.tags[f"export.{runtime}"] = export.folder
            if runtime == INT8:
                parity = read_json(self.results / export.folder / "parity.json")
                found.metrics.update(score_int8=parity["score"], size_mb_int8=parity["size_bytes"] / 1e6)

    def _speed(self, model: Artefact, found: Found) -> None:
        """Median latencies; a student shares those of its architecture, as the benchmark measured one cell of it."""
        pair = _pair(model)
        if pair not in self.benchmarks:
            return
        found.tags["benchmark"] = self.benchmarks[pair].folder
        teacher = dict(_latencies(self.candidates[pair], role="teacher"))
        name = None if model.stage == "finetune" else model.labels["student"]
        own = dict(_latencies(self.candidates[pair], role="student", name=name)) if name else teacher
        for shape, milliseconds in own.items():
            found.metrics[f"latency_ms/{shape}"] = milliseconds
            if shape in teacher:
                found.metrics[f"speedup/{shape}"] = teacher[shape] / milliseconds


def _pair(artefact: Artefact) -> tuple[str, str]:
    return str(artefact.labels["task"]), str(artefact.labels["teacher"])


def _latencies(candidates: list[dict[str, Any]], *, role: str, name: str | None = None) -> Iterator[tuple[str, float]]:
    for candidate in candidates:
        if candidate["role"] == role and name in (None, candidate["name"]) and not candidate["skipped"]:
            for shape in candidate["shapes"]:
                yield shape_name(candidate["runtime"], shape["batch_size"], shape["length"]), shape["p50_ms"]
