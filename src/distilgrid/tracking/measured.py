"""What the finished exports and benchmarks of a plan say about a cell, and how it compares with its teacher."""

from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import is_complete, read_json
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.plan.teachers import teacher_names
from distilgrid.runtimes.base import IMAGE_LENGTH
from distilgrid.tracking.naming import role_of

INT8 = "onnxruntime-int8"
Found = tuple[dict[str, float], dict[str, str]]  # metrics, and tags that name the folders they come from


def _name(candidate: dict[str, Any], measured: dict[str, Any]) -> str:
    """How metrics call a runtime and an input shape; images have no length, and one thread is not named."""
    name = candidate["runtime"] + ("" if candidate["optimised"] else "-unfused")
    if measured["kind"] == "shape":
        length = measured["length"]
        name += f"-b{measured['batch_size']}" + (f"-len{length}" if length != IMAGE_LENGTH else "")
    else:
        name += f"-{measured['kind']}"
    return name + (f"-t{measured['threads']}" if measured["threads"] > 1 else "")


class Measured:
    """Exports, benchmarks and teachers of a plan, by the models they belong to."""

    def __init__(self, plan: Plan, results: Path) -> None:
        self.results = results
        self.teacher_scores = {
            (*_pair(teacher), teacher.labels["fraction"]): read_json(results / teacher.folder / "metrics.json")["score"]
            for teacher in plan.teachers
            if is_complete(results / teacher.folder)
        }
        self.exports: dict[str, list[Artefact]] = {}
        for export in plan.exports:
            model = export.inputs["model"]
            if isinstance(model, Artefact) and is_complete(results / export.folder):
                self.exports.setdefault(model.folder, []).append(export)
        self.benchmarks = {
            _pair(benchmark): (benchmark.folder, read_json(results / benchmark.folder / "benchmark.json")["candidates"])
            for benchmark in plan.benchmarks
            if benchmark.labels["device"] == plan.params.benchmark.devices[0]
            and is_complete(results / benchmark.folder)
        }

    def of(self, model: Artefact, score: float) -> Found:
        """Everything known about a model besides its own files."""
        metrics, tags = self._speed(model)
        for export in self.exports.get(model.folder, []):
            tags[f"export.{export.labels['runtime']}"] = export.folder
            parity = read_json(self.results / export.folder / "parity.json")
            if parity["runtime"] == INT8 and parity["accepted"]:
                metrics |= {"score_int8": parity["score"], "size_mb_int8": round(parity["size_bytes"] / 1e6, 2)}
        whole = self.teacher_scores.get((*_pair(model), 1.0), 0)
        reference = self.teacher_scores.get((*_pair(model), model.labels["fraction"]), whole)
        if reference > 0:  # a share of nothing, or of a negative correlation, means nothing
            metrics["score_vs_teacher"] = round(score / reference, 4)
        return metrics, tags

    def _speed(self, model: Artefact) -> Found:
        """Median latencies; a student shares those of its architecture, of which the benchmark measured one cell."""
        if _pair(model) not in self.benchmarks:
            return {}, {}
        folder, candidates = self.benchmarks[_pair(model)]
        teacher = _latencies(candidates, role="teacher", name=_pair(model)[1])
        own = _latencies(candidates, role=role_of(model), name=str(model.labels["student"]))
        metrics = {f"latency_ms/{shape}": round(p50, 3) for shape, p50 in own.items()}
        shared = [shape for shape in own if shape in teacher]
        metrics |= {f"speedup/{shape}": round(teacher[shape] / own[shape], 2) for shape in shared}
        return metrics, {"benchmark": folder}


def _pair(artefact: Artefact) -> tuple[str, str]:
    """A task, and the first teacher of a cell."""
    return str(artefact.labels["task"]), teacher_names(str(artefact.labels["teacher"]))[0]


def _latencies(candidates: list[dict[str, Any]], *, role: str, name: str) -> dict[str, float]:
    """The median latency in milliseconds of one model, by runtime and shape."""
    return {
        _name(candidate, shape): shape["p50_ms"]
        for candidate in candidates
        if (candidate["role"], candidate["name"]) == (role, name) and not candidate["skipped"]
        for shape in candidate["shapes"]
    }
