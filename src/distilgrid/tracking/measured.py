"""Measurements of cells by finished exports and benchmarks, compared with their teachers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilgrid.core.finished import is_made, open_finished
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.plan.teachers import teacher_names
from distilgrid.runtimes.base import IMAGE_LENGTH
from distilgrid.tasks.kind import find_metric
from distilgrid.tracking.record import role_of

INT8 = "onnxruntime-int8"
Found = tuple[dict[str, float], dict[str, str]]  # metrics, and tags with their source folders


def _name(entry: dict[str, Any], measured: dict[str, Any]) -> str:
    """A runtime and an input shape in names of metrics, without the length of images and a single thread."""
    name = entry["runtime"] + ("" if entry["optimised"] else "-unfused")
    if measured["kind"] == "shape":
        length = measured["length"]
        name += f"-b{measured['batch_size']}" + (f"-len{length}" if length != IMAGE_LENGTH else "")
    else:
        name += f"-{measured['kind']}"
    return name + (f"-t{measured['threads']}" if measured["threads"] > 1 else "")


class Measured:
    """Exports, benchmarks and teachers of a plan by their models."""

    def __init__(self, plan: Plan, results: Path) -> None:
        self.results = results
        self.teacher_scores = {
            (*_pair(teacher), teacher.labels["fraction"]): self._read(teacher, "metrics.json")["score"]
            for teacher in plan.teachers
            if is_made(results / teacher.folder)
        }
        self.exports: dict[str, list[Artefact]] = {}
        for export in plan.of("export"):
            model = export.inputs["model"]
            if isinstance(model, Artefact) and is_made(results / export.folder):
                self.exports.setdefault(model.folder, []).append(export)
        self.benchmarks = {
            _pair(benchmark): (benchmark.folder, self._read(benchmark, "benchmark.json")["entries"])
            for benchmark in plan.of("benchmark")
            if benchmark.labels["device"] == plan.params.benchmark.devices[0] and is_made(results / benchmark.folder)
        }

    def of(self, model: Artefact, own: Mapping[str, Any]) -> Found:
        """Metrics and tags of a model from other artefacts; `own` is its `metrics.json`."""
        metrics, tags = self._speed(model)
        for export in self.exports.get(model.folder, []):
            tags[f"export.{export.labels['runtime']}"] = export.folder
            parity = self._read(export, "parity.json")
            if parity["runtime"] == INT8 and parity["accepted"]:
                metrics |= {"score_int8": parity["score"], "size_mb_int8": round(parity["size_bytes"] / 1e6, 2)}
        whole = self.teacher_scores.get((*_pair(model), 1.0), 0)
        reference = self.teacher_scores.get((*_pair(model), model.labels["fraction"]), whole)
        # A share of zero, of a negative correlation or of a metric to keep low is meaningless.
        if reference > 0 and find_metric(own["score_name"]).higher_is_better:
            metrics["score_vs_teacher"] = round(own["score"] / reference, 4)
        return metrics, tags

    def _read(self, artefact: Artefact, name: str) -> Any:
        return open_finished(self.results / artefact.folder, stage=artefact.stage, only=()).json(name)

    def _speed(self, model: Artefact) -> Found:
        """Median latencies. All students of an architecture share the latencies of the measured one."""
        if _pair(model) not in self.benchmarks:
            return {}, {}
        folder, entries = self.benchmarks[_pair(model)]
        teacher = _latencies(entries, role="teacher", name=_pair(model)[1])
        own = _latencies(entries, role=role_of(model), name=str(model.labels["student"]))
        metrics = {f"latency_ms/{shape}": round(p50, 3) for shape, p50 in own.items()}
        shared = [shape for shape in own if shape in teacher]
        metrics |= {f"speedup/{shape}": round(teacher[shape] / own[shape], 2) for shape in shared}
        return metrics, {"benchmark": folder}


def _pair(artefact: Artefact) -> tuple[str, str]:
    """A task, and the first teacher of a cell."""
    return str(artefact.labels["task"]), teacher_names(str(artefact.labels["teacher"]))[0]


def _latencies(entries: list[dict[str, Any]], *, role: str, name: str) -> dict[str, float]:
    """The median latency of a model in milliseconds, by runtime and shape."""
    return {
        _name(entry, shape): shape["p50_ms"]
        for entry in entries
        if (entry["role"], entry["name"]) == (role, name) and not entry["skipped"]
        for shape in entry["shapes"]
    }
