"""What an engineer chooses from: every finished export, and torch itself, with its score and its latency."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distilgrid.errors import UserError, did_you_mean
from distilgrid.planned import Artefact
from distilgrid.reporting.collect import Collected, Measurement
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line

KINDS = ("texts", "text-to-label")


@dataclass(frozen=True)
class Where:
    """Which measurement counts.

    Attributes:
        device: one of the grid's.
        at: a length in tokens, `texts` or `text-to-label`; None takes the longest length.
        threads: how many.
        percentile: `p50`, `p90` or `p99`.
    """

    device: str
    at: str | None = None
    threads: int = 1
    percentile: str = "p50"


@dataclass(frozen=True)
class Option:
    """A model in a runtime.

    Attributes:
        line: the student with its method, all seeds.
        runtime: its name.
        model: the trained model that would ship: the exported seed.
        folder: what the runtime loads, under the results folder.
        score: the mean of the main score over seeds, plus what exporting changed in the exported seeds.
        latency_ms: as asked for.
        size_bytes: of the model's files.
        noisy: whether the measurement is marked so.
    """

    line: Line
    runtime: str
    model: Artefact
    folder: str
    score: float
    latency_ms: float
    size_bytes: int
    noisy: bool

    @property
    def name(self) -> str:
        """The method, the student and the runtime."""
        return f"{self.line.labels['method']} {self.line.name}, {self.runtime}"


def list_options(findings: Findings, task: str, where: Where) -> list[Option]:
    """Every student in every runtime that was measured in this way.

    Raises:
        UserError: when nothing was.
    """
    devices = findings.collected.plan.params.benchmark.devices
    if where.device not in devices:
        raise UserError(
            f"--device: the grid measures nothing on '{where.device}'; {did_you_mean(where.device, devices)}"
        )
    found = [o for line in findings.of(task) if not line.is_teacher for o in _of_line(findings.collected, line, where)]
    if not found:
        ways = sorted(
            {_way(shape) for c in _candidates(findings.collected, task, where.device) for shape in c["shapes"]}
        )
        raise UserError(f"--at: nothing of '{task}' was measured at {where.at}; {did_you_mean(str(where.at), ways)}")
    return found


def _of_line(collected: Collected, line: Line, where: Where) -> Iterator[Option]:
    for candidate in _candidates(collected, line.labels["task"], where.device):
        if candidate["name"] != line.labels["student"] or not candidate["optimised"]:
            continue
        shape = _shape(candidate, where)
        shipped = _shipped(line, candidate["runtime"])
        if shape is None or shipped is None:
            continue
        artefact, model, size, change = shipped
        latency = float(shape[f"{where.percentile}_ms"])
        folder, score = artefact.folder, line.score + change
        yield Option(line, candidate["runtime"], model, folder, score, latency, size, bool(shape["noisy"]))


def _candidates(collected: Collected, task: str, device: str) -> Iterator[Mapping[str, Any]]:
    for benchmark in collected.benchmarks:
        if (benchmark.artefact.labels["task"], benchmark.artefact.labels["device"]) == (task, device):
            yield from benchmark.values["candidates"]


def _shape(candidate: Mapping[str, Any], where: Where) -> Mapping[str, Any] | None:
    """The measurement that counts; of fixed lengths the smallest batch."""
    own = [s for s in candidate["shapes"] if s["threads"] == where.threads]
    wanted = [s for s in own if (where.at is None and s["kind"] == "shape") or _way(s) == where.at]
    return max(wanted, key=lambda s: (-s["batch_size"], s["length"] or 0), default=None)


def _way(shape: Mapping[str, Any]) -> str:
    return str(shape["kind"]) if shape["kind"] in KINDS else str(shape["length"])


def _shipped(line: Line, runtime: str) -> tuple[Artefact, Artefact, int, float] | None:
    """The artefact that would ship, the model that it is, its size, and what exporting changed in the score."""
    if runtime.startswith("torch-"):
        first = line.models[0]
        return first.artefact, first.artefact, first.metrics["size_bytes"], 0.0
    exports: tuple[Measurement, ...] = line.exports.get(runtime, ())
    change = line.export_change(runtime)
    if not exports or change is None:
        return None
    model = exports[0].artefact.inputs["model"]
    assert isinstance(model, Artefact)
    return exports[0].artefact, model, exports[0].values["size_bytes"], change
