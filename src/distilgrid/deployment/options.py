"""Options of a choice: finished exports, and torch itself, with score and latency."""

from collections import Counter
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
from distilgrid.reporting.collect import FinishedArtefact, TrainedModel
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.learned import chance, learned_nothing
from distilgrid.reporting.lines import Line, dev_score
from distilgrid.runtimes.registry import REFERENCE, find_runtime

Entry = Mapping[str, Any]
Wanted = tuple[str, int, int | None]


class _RuledOutError(Exception):
    """The reason that rules a model in a runtime out."""


@dataclass(frozen=True)
class ModelOption:
    """A model in a runtime."""

    line: Line  # the student with its method, over all seeds
    runtime: str  # the runtime's name
    model: Artefact  # the trained model that would ship: of the exported seeds the best on dev
    folder: str  # the folder that the runtime loads, under the results folder
    score: float  # the main score on validation of what would ship, as an export if it is one; decides nothing
    teacher: float  # the validation score of the student's teacher
    dev: float  # the score of that export on dev; decides
    dev_teacher: float  # the score of the student's teacher on dev
    latency_ms: float  # the wanted percentile
    size_bytes: int  # size of the model's files
    noisy: bool  # whether the measurement is marked as noisy
    conditions: LatencyConditions  # the conditions of the latency

    @property
    def name(self) -> str:
        """The method, the student and the runtime."""
        return f"{self.line.labels['method']} {self.line.name}, {self.runtime}"

    @property
    def loss(self) -> float:
        """The loss of score on dev against the teacher, as tables print scores. Limits apply to it."""
        scoring = self.line.scoring
        return scoring.scale * scoring.merit(self.dev_teacher - self.dev)

    @property
    def validation_loss(self) -> float:
        """The loss of score on validation, which the choice does not know."""
        scoring = self.line.scoring
        return scoring.scale * scoring.merit(self.teacher - self.score)


@dataclass(frozen=True)
class Offer:
    """The options of a choice, with a sentence for each runtime and reason that rules models out."""

    options: tuple[ModelOption, ...]
    left_out: tuple[str, ...]


def list_options(findings: Findings, task: str, where: Where) -> Offer:
    """Every student in every measured runtime, on the benchmark of its own teacher. Raises UserError without any."""
    device, devices = where.device, findings.collected.plan.params.benchmark.devices
    if device not in devices:
        raise UserError(f"--device: the grid measures nothing on '{device}'; {did_you_mean(device, devices)}")
    place = {"task": task, "device": device}.items()
    benchmarks = [b for b in findings.collected.benchmarks if place <= b.artefact.labels.items()]
    shapes = [s for benchmark in benchmarks for entry in _entries(benchmark.values) for s in entry["shapes"]]
    wanted = wanted_shape(shapes, task, where)
    options: list[ModelOption] = []
    reasons: Counter[tuple[str, str]] = Counter()
    for line, benchmark, entry in _measured(findings, task, benchmarks):
        try:
            options.append(_option(findings, line, benchmark, entry, wanted, where))
        except _RuledOutError as reason:
            reasons[entry["runtime"], str(reason)] += 1
    left_out = [f"left out: {runtime} of {wording.plural(n, 'model')}: {why}" for (runtime, why), n in reasons.items()]
    if not options:
        fitting = [s for s in shapes if find_shape([s], wanted, where.threads)]
        raise UserError(_nothing(fitting, task, where, left_out))
    return Offer(tuple(options), tuple(left_out))


def _nothing(fitting: Sequence[Shape], task: str, where: Where, left_out: Sequence[str]) -> str:
    known = [name for name in PERCENTILES if any(latency(shape, name) is not None for shape in fitting)]
    if where.percentile not in known:
        missing = f"'{where.device}' has no {where.percentile} of '{task}'"
        return f"--percentile: {missing}; choose one of: {', '.join(known)}"
    return f"--device: no model of '{task}' on '{where.device}' can be chosen; {'; '.join(left_out)}"


def _entries(benchmark: Mapping[str, Any]) -> list[Entry]:
    """The students of a benchmark, with optimised graphs."""
    return [entry for entry in benchmark["entries"] if entry["role"] == "student" and entry["optimised"]]


def _measured(
    findings: Findings, task: str, benchmarks: Sequence[FinishedArtefact]
) -> Iterator[tuple[Line, FinishedArtefact, Entry]]:
    """Each student with each measurement of it."""
    for line in findings.of(task):
        for benchmark in benchmarks:
            if not line.is_teacher and benchmark.artefact.labels["teacher"] in teacher_names(line.labels["teacher"]):
                own = (entry for entry in _entries(benchmark.values) if entry["name"] == line.labels["student"])
                yield from ((line, benchmark, entry) for entry in own)


def _option(
    findings: Findings, line: Line, benchmark: FinishedArtefact, entry: Entry, wanted: Wanted, where: Where
) -> ModelOption:
    runtime = str(entry["runtime"])
    shape = find_shape(entry["shapes"], wanted, where.threads)
    if shape is None:
        skipped = find_shape(entry["skipped_shapes"], wanted, where.threads) or {}
        raise _RuledOutError(entry["skipped"] or skipped.get("reason") or "not measured in this way")
    ms = latency(shape, where.percentile)
    if ms is None:
        raise _RuledOutError(f"no {where.percentile} was sent")
    teacher = findings.teacher(line)
    if teacher.failed:
        raise _RuledOutError("its teacher answers the same for every row, so no loss against it is known")
    task = line.labels["task"]
    shipped = _shipped(line, runtime, chance(findings.collected.datasets[task], findings.main(task)[0]))
    row = findings.collected.task_kind(task).words.row
    return ModelOption(
        line=line,
        runtime=runtime,
        model=shipped.model.artefact,
        folder=shipped.folder,
        score=shipped.score,
        teacher=teacher.score,
        dev=shipped.dev,
        dev_teacher=teacher.dev,
        latency_ms=ms,
        size_bytes=shipped.size_bytes,
        noisy=bool(shape["noisy"]),
        conditions=conditions(benchmark.values, shape, where, runtime, row=row),
    )


@dataclass(frozen=True)
class _Shipped:
    """What would ship of a line in a runtime."""

    folder: str  # the folder that the runtime loads
    model: TrainedModel  # the trained model of one seed
    size_bytes: int  # size of the model's files
    score: float  # the main score on validation
    dev: float  # the main metric on dev


def _shipped(line: Line, runtime: str, by_chance: float | None) -> _Shipped:
    """The seed that is best on dev in the runtime, among those that learned something and that the runtime can load."""
    found = [_as_trained(model) for model in line.models] if runtime == REFERENCE else list(_exported(line, runtime))
    if not found:
        unknown = "what it changes in the score is not known"
        raise _RuledOutError("rejected by the parity gate" if runtime in line.rejected else unknown)
    failed = [_failed(shipped, by_chance) for shipped in found]
    kept = [shipped for shipped, why in zip(found, failed, strict=True) if not why]
    if not kept:
        raise _RuledOutError(failed[0])
    return max(kept, key=lambda shipped: line.scoring.merit(shipped.dev))


def _failed(shipped: _Shipped, by_chance: float | None) -> str:
    """The reason why what would ship learned nothing, or lost it when it was exported; empty where it did."""
    metrics = shipped.model.metrics
    exported = {**metrics, "dev": {metrics["score_name"]: shipped.dev}}
    return learned_nothing(metrics, chance=by_chance) or learned_nothing(exported, chance=by_chance)


def _as_trained(model: TrainedModel) -> _Shipped:
    metrics = model.metrics
    return _Shipped(model.artefact.folder, model, metrics["size_bytes"], metrics["score"], dev_score(metrics))


def _exported(line: Line, runtime: str) -> Iterator[_Shipped]:
    models = {model.artefact.folder: model for model in line.models}
    for export in line.exports.get(runtime, ()):
        model, parity = models[_origin(export).folder], export.values
        loaded = export.artefact if find_runtime(runtime).exported else model.artefact
        yield _Shipped(loaded.folder, model, parity["size_bytes"], parity["score"], dev_score(parity))


def _origin(export: FinishedArtefact) -> Artefact:
    """The trained model behind an export."""
    model = export.artefact.inputs["model"]
    assert isinstance(model, Artefact)
    return model
