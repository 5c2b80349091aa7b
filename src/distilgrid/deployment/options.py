"""Options of a choice: finished exports, and torch itself, with score and latency."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import Artefact
from distilgrid.deployment.measured import (
    PERCENTILES,
    LatencyConditions,
    Shape,
    Where,
    conditions,
    find_shape,
    latency,
    wanted_shape,
)
from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting import wording
from distilgrid.reporting.collect import FinishedArtefact
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import TORCH, Line
from distilgrid.reporting.scoring import HUNDRED, Scoring
from distilgrid.runtimes.registry import find_runtime

Entry = Mapping[str, Any]
Wanted = tuple[str, int, int | None]


@dataclass(frozen=True)
class ModelOption:
    """A model in a runtime."""

    line: Line  # the student with its method, over all seeds
    runtime: str  # the runtime's name
    model: Artefact  # the trained model of the exported seed, which would ship
    folder: str  # the folder that the runtime loads, under the results folder
    score: float  # the mean main score over seeds, plus the change by exporting in the exported seeds
    teacher: float  # the score of the student's teacher
    latency_ms: float  # the wanted percentile
    size_bytes: int  # size of the model's files
    noisy: bool  # whether the measurement is marked as noisy
    conditions: LatencyConditions  # the conditions of the latency

    @property
    def name(self) -> str:
        """The method, the student and the runtime."""
        return f"{self.line.labels['method']} {self.line.name}, {self.runtime}"

    @property
    def scoring(self) -> Scoring:
        """The notation of the score."""
        return self.line.scoring

    @property
    def loss(self) -> float:
        """The loss of score against the teacher, in points divided by 100."""
        return self.scoring.scale / HUNDRED * self.scoring.merit(self.teacher - self.score)


@dataclass(frozen=True)
class Offer:
    """The options of a choice, with a sentence for each runtime and reason that rules models out."""

    options: tuple[ModelOption, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """The reason that rules a model in a runtime out."""

    runtime: str
    reason: str


def list_options(findings: Findings, task: str, where: Where) -> Offer:
    """Every student in every runtime that was measured as wanted, on the benchmark of the teacher that it learned from.

    Raises:
        UserError: when no measurement fits.
    """
    devices = findings.collected.plan.params.benchmark.devices
    if where.device not in devices:
        raise UserError(
            f"--device: the grid measures nothing on '{where.device}'; {did_you_mean(where.device, devices)}"
        )
    place = {"task": task, "device": where.device}.items()
    benchmarks = [b for b in findings.collected.benchmarks if place <= b.artefact.labels.items()]
    shapes = [s for benchmark in benchmarks for entry in _entries(benchmark.values) for s in entry["shapes"]]
    wanted = wanted_shape(shapes, task, where)
    lines = [line for line in findings.of(task) if not line.is_teacher]
    found = [each for line in lines for each in _of_line(findings, line, benchmarks, wanted, where)]
    options = tuple(each for each in found if isinstance(each, ModelOption))
    offer = Offer(options, tuple(_sentences([each for each in found if isinstance(each, LeftOut)])))
    if not options:
        fitting = [s for s in shapes if find_shape([s], wanted, where.threads)]
        raise UserError(_nothing(fitting, task, where, offer.left_out))
    return offer


def _nothing(fitting: Sequence[Shape], task: str, where: Where, left_out: Sequence[str]) -> str:
    """The message for an empty offer."""
    known = [name for name in PERCENTILES if any(latency(shape, name) is not None for shape in fitting)]
    if where.percentile not in known:
        missing = f"'{where.device}' has no {where.percentile} of '{task}'"
        return f"--percentile: {missing}; choose one of: {', '.join(known)}"
    return f"--device: no model of '{task}' on '{where.device}' can be chosen; {'; '.join(left_out)}"


def _entries(benchmark: Mapping[str, Any]) -> list[Entry]:
    """The students of a benchmark, with optimised graphs."""
    return [entry for entry in benchmark["candidates"] if entry["role"] == "student" and entry["optimised"]]


def _of_line(
    findings: Findings, line: Line, benchmarks: Sequence[FinishedArtefact], wanted: Wanted, where: Where
) -> Iterator[ModelOption | LeftOut]:
    for benchmark in benchmarks:
        if benchmark.artefact.labels["teacher"] not in teacher_names(line.labels["teacher"]):
            continue
        for entry in _entries(benchmark.values):
            if entry["name"] == line.labels["student"]:
                yield _option(findings, line, benchmark, entry, wanted, where)


def _option(
    findings: Findings, line: Line, benchmark: FinishedArtefact, entry: Entry, wanted: Wanted, where: Where
) -> ModelOption | LeftOut:
    runtime = str(entry["runtime"])
    shape = find_shape(entry["shapes"], wanted, where.threads)
    if shape is None:
        skipped = find_shape(entry["skipped_shapes"], wanted, where.threads) or {}
        return LeftOut(runtime, entry["skipped"] or skipped.get("reason") or "not measured in this way")
    ms = latency(shape, where.percentile)
    if ms is None:
        return LeftOut(runtime, f"no {where.percentile} was sent")
    shipped = _shipped(line, runtime)
    if isinstance(shipped, LeftOut):
        return shipped
    folder, model, size, change = shipped
    return ModelOption(
        line=line,
        runtime=runtime,
        model=model,
        folder=folder,
        score=line.score + change,
        teacher=findings.teacher(line).score,
        latency_ms=ms,
        size_bytes=size,
        noisy=bool(shape["noisy"]),
        conditions=conditions(benchmark.values, shape, where, runtime),
    )


def _shipped(line: Line, runtime: str) -> tuple[str, Artefact, int, float] | LeftOut:
    """The folder that would ship, its model, its size, and the runtime's change of the score."""
    first = line.models[0]
    if runtime == TORCH:
        return first.artefact.folder, first.artefact, first.metrics["size_bytes"], 0.0
    exports: tuple[FinishedArtefact, ...] = line.exports.get(runtime, ())
    change = line.export_change(runtime)
    if not exports or change is None:
        unknown = "what it changes in the score is not known"
        return LeftOut(runtime, "rejected by the parity gate" if runtime in line.rejected else unknown)
    model, size = exports[0].artefact.inputs["model"], exports[0].values["size_bytes"]
    assert isinstance(model, Artefact)
    loaded = exports[0].artefact if find_runtime(runtime).exported else model
    return loaded.folder, model, size, change


def _sentences(left_out: Sequence[LeftOut]) -> Iterator[str]:
    for each in dict.fromkeys(left_out):
        yield f"left out: {each.runtime} of {wording.plural(left_out.count(each), 'model')}: {each.reason}"
