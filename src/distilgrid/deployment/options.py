"""What an engineer chooses from: every finished export, and torch itself, with its score and its latency."""

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
from distilgrid.reporting.collect import Collected, FinishedArtefact
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import TORCH, Line
from distilgrid.reporting.scoring import HUNDRED, Scoring
from distilgrid.runtimes.registry import find_runtime

Candidate = Mapping[str, Any]
Wanted = tuple[str, int, int | None]


@dataclass(frozen=True)
class Option:
    """A model in a runtime.

    Attributes:
        line: the student with its method, all seeds.
        runtime: its name.
        model: the trained model that would ship: the exported seed.
        folder: what the runtime loads, under the results folder.
        score: the mean of the main score over seeds, plus what exporting changed in the exported seeds.
        teacher: the score of the teacher that this student learned from.
        latency_ms: as asked for.
        size_bytes: of the model's files.
        noisy: whether the measurement is marked so.
        conditions: what the latency is of.
    """

    line: Line
    runtime: str
    model: Artefact
    folder: str
    score: float
    teacher: float
    latency_ms: float
    size_bytes: int
    noisy: bool
    conditions: LatencyConditions

    @property
    def name(self) -> str:
        """The method, the student and the runtime."""
        return f"{self.line.labels['method']} {self.line.name}, {self.runtime}"

    @property
    def scoring(self) -> Scoring:
        """How its score is shown and compared."""
        return self.line.scoring

    @property
    def loss(self) -> float:
        """How much worse the score is than the teacher's: as tables show it, divided by 100."""
        return self.scoring.scale / HUNDRED * self.scoring.merit(self.teacher - self.score)


@dataclass(frozen=True)
class Offer:
    """Everything there is to choose from.

    Attributes:
        options: models in runtimes.
        left_out: a sentence for each runtime and reason that rules models out.
    """

    options: tuple[Option, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """The reason why a model in a runtime cannot be chosen."""

    runtime: str
    reason: str


def list_options(findings: Findings, task: str, where: Where) -> Offer:
    """Every student in every runtime that was measured in this way, on the benchmark of its own teacher.

    Raises:
        UserError: when nothing was.
    """
    devices = findings.collected.plan.params.benchmark.devices
    if where.device not in devices:
        raise UserError(
            f"--device: the grid measures nothing on '{where.device}'; {did_you_mean(where.device, devices)}"
        )
    benchmarks = _benchmarks(findings.collected, task, where.device)
    shapes = [s for benchmark in benchmarks for c in _candidates(benchmark.values) for s in c["shapes"]]
    wanted = wanted_shape(shapes, task, where)
    lines = [line for line in findings.of(task) if not line.is_teacher]
    found = [each for line in lines for each in _of_line(findings, line, benchmarks, wanted, where)]
    options = tuple(each for each in found if isinstance(each, Option))
    offer = Offer(options, tuple(_sentences([each for each in found if isinstance(each, LeftOut)])))
    if not options:
        fitting = [s for s in shapes if find_shape([s], wanted, where.threads)]
        raise UserError(_nothing(fitting, task, where, offer.left_out))
    return offer


def _nothing(fitting: Sequence[Shape], task: str, where: Where, left_out: Sequence[str]) -> str:
    """One line for a user who is left without options."""
    known = [name for name in PERCENTILES if any(latency(shape, name) is not None for shape in fitting)]
    if where.percentile not in known:
        missing = f"'{where.device}' has no {where.percentile} of '{task}'"
        return f"--percentile: {missing}; choose one of: {', '.join(known)}"
    return f"--device: no model of '{task}' on '{where.device}' can be chosen; {'; '.join(left_out)}"


def _benchmarks(collected: Collected, task: str, device: str) -> list[FinishedArtefact]:
    """One for each teacher of the task."""
    wanted = task, device
    return [b for b in collected.benchmarks if (b.artefact.labels["task"], b.artefact.labels["device"]) == wanted]


def _candidates(benchmark: Mapping[str, Any]) -> Iterator[Candidate]:
    """The students of a benchmark, graphs optimised."""
    yield from (c for c in benchmark["candidates"] if c["role"] == "student" and c["optimised"])


def _of_line(
    findings: Findings, line: Line, benchmarks: Sequence[FinishedArtefact], wanted: Wanted, where: Where
) -> Iterator[Option | LeftOut]:
    for benchmark in benchmarks:
        if benchmark.artefact.labels["teacher"] not in teacher_names(line.labels["teacher"]):
            continue
        for candidate in _candidates(benchmark.values):
            if candidate["name"] == line.labels["student"]:
                yield _option(findings, line, benchmark, candidate, wanted, where)


def _option(
    findings: Findings, line: Line, benchmark: FinishedArtefact, candidate: Candidate, wanted: Wanted, where: Where
) -> Option | LeftOut:
    runtime = str(candidate["runtime"])
    shape = find_shape(candidate["shapes"], wanted, where.threads)
    if shape is None:
        skipped = find_shape(candidate["skipped_shapes"], wanted, where.threads) or {}
        return LeftOut(runtime, candidate["skipped"] or skipped.get("reason") or "not measured in this way")
    ms = latency(shape, where.percentile)
    if ms is None:
        return LeftOut(runtime, f"no {where.percentile} was sent")
    shipped = _shipped(line, runtime)
    if isinstance(shipped, LeftOut):
        return shipped
    folder, model, size, change = shipped
    return Option(
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
    """The folder that would ship, the model that it is, its size, and what the runtime changes in the score."""
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
