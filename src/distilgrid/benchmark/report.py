"""Latency of every model in every runtime at every shape, with throughput, energy, graph optimisation and loading."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.benchmark.labels import low_precision, phone_note, shape_words, throughput
from distilgrid.reporting import display, wording
from distilgrid.reporting.collect import FinishedArtefact
from distilgrid.reporting.display import EMPTY
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import benchmark_label
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.runtimes.registry import RUNTIMES

Measured = Mapping[str, Any]
Shape = tuple[str, int, int, int | None]
MODEL, RUNTIME = Column("model", number=False), Column("runtime", number=False)
THROUGHPUT = "One call after the other: the batch size, divided by the median latency of a call."
ENERGY = "Of a call: by the counter of the processor or the GPU, which counts everything that ran on it meanwhile."
KINDS = {"texts": "the task's texts", "text-to-label": "text to label"}
BLOCKS = {"attention": "attention", "layer_norm": "layer norm", "gelu": "GELU"}
SECONDS = {"import_seconds": "packages, s", "load_seconds": "loading, s", "first_run_seconds": "first run, s"}
MEMORY = {
    "loaded_mib": "memory of the model, MiB",
    "peak_mib": "peak of the process, MiB",
    "gpu_peak_mib": "peak on the GPU, MiB",
}
OVER_EXPORTED = "speed-up over as exported"
FUSION = (
    "Graph optimisation switched off and on, at the longest length with the first number of threads. Operators in the "
    "exported file and after the runtime's rewriting; how many blocks run as one operator each."
)
FOOTPRINTS = "Each entry in a separate process, which imports the runtime, loads the model and runs it."


@dataclass(frozen=True)
class _Tables:
    """The tables of one benchmark."""

    findings: Findings
    benchmark: FinishedArtefact
    name: str
    measured: list[Measured]  # the entries with a measured shape

    def all(self) -> list[Table]:
        if not self.measured:
            return self.missing()
        counted = any(shape.get("energy_mj") is not None for each in self.measured for shape in each["shapes"])
        return [
            self.grid("latency, ms", self.caption(), _latency),
            self.grid("inputs per second", THROUGHPUT, _rate),
            *([self.grid("energy, mJ", ENERGY, _energy)] if counted else []),
            *self.missing(),
            *self.fusion(),
            *self.footprints(),
        ]

    def grid(self, title: str, caption: str, value: Callable[[Measured], Value]) -> Table:
        """A row for each entry, a column for each shape."""
        shapes = list(dict.fromkeys(_shape(shape) for each in self.measured for shape in each["shapes"]))
        rows = []
        for entry in self.measured:
            own = {_shape(shape): shape for shape in entry["shapes"]}
            rows.append([*self.who(entry), *(value(own[shape]) if shape in own else EMPTY for shape in shapes)])
        columns = [MODEL, RUNTIME, *(Column(*_titles(shape)) for shape in shapes)]
        return Table(f"{self.name}: {title}", caption, columns, rows, _groups(self.measured))

    def caption(self) -> str:
        protocol, values = self.findings.collected.plan.params.benchmark, self.benchmark.values
        machine = f"{benchmark_label(self.benchmark, self.findings.collected)}; {low_precision(values['machine'])}"
        said = (
            f"Medians on {machine}; in small print p90 (or p95) and p99. ~ marks medians that still drifted by "
            f"more than {protocol.max_drift:.0%}, or are not known to it."
        )
        if values["kind"] == "local" and any(RUNTIMES[name].mobile for name in protocol.runtimes):
            said += " Runtimes made for phones ran on this processor: these are not latencies of a phone."
        return said

    def missing(self) -> list[Table]:
        """The measurements that are missing, with the reason."""
        rows = []
        for entry in self.benchmark.values["entries"]:
            skipped = [(shape_words(shape), shape["reason"]) for shape in entry["skipped_shapes"]]
            if entry["skipped"]:
                skipped = [("anything", entry["skipped"])]
            if entry["footprint"] and "reason" in entry["footprint"]:
                skipped.append(("load time and memory", entry["footprint"]["reason"]))
            rows += [[*self.who(entry), Value(what), Value(reason)] for what, reason in skipped]
        columns = [MODEL, RUNTIME, Column("not measured", number=False), Column("reason", number=False)]
        return [Table(f"{self.name}: not measured", "", columns, rows)] if rows else []

    def who(self, entry: Measured) -> list[Value]:
        """The model, and the runtime with a note if it is made for phones and ran elsewhere."""
        values, runtime = self.benchmark.values, str(entry["runtime"])
        note = phone_note(values["machine"], runtime=runtime, kind=values["kind"])
        notes = ["graph as exported"] * (not entry["optimised"]) + [note] * bool(note)
        return [Value(entry["name"]), Value(", ".join([runtime, *notes]))]

    def fusion(self) -> list[Table]:
        """The gain of rewriting the graph: latencies and operators with graph optimisation off and on."""
        labels, found = self.benchmark.artefact.labels, self.findings.collected.exports
        graphs = {
            (export.artefact.labels["student"], export.artefact.labels["runtime"]): export.values.get("graph")
            for export in found
            if all(export.artefact.labels[axis] == labels[axis] for axis in ("task", "teacher"))
        }
        plain = {(each["name"], each["runtime"]): each for each in self.measured if not each["optimised"]}
        rows = []
        for entry in (each for each in self.measured if each["optimised"]):
            key = entry["name"], entry["runtime"]
            if key in plain or graphs.get(key):
                rows.append([*map(Value, key), *_ratios(entry, plain.get(key)), *_operators(graphs.get(key))])
        titles = ("as exported, ms", "optimised, ms", OVER_EXPORTED, "operators before", "after", *BLOCKS.values())
        columns = [MODEL, RUNTIME, *map(Column, titles)]
        return [Table(f"{self.name}: what fusion brings", FUSION, columns, rows)] if rows else []

    def footprints(self) -> list[Table]:
        """Load time and memory."""
        known = [each for each in self.measured if each["footprint"] and "reason" not in each["footprint"]]
        memory = [name for name in MEMORY if any(name in each["footprint"] for each in known)]
        rows = [
            [
                *self.who(each),
                Value(wording.size(each["size_bytes"])),
                *(display.number(each["footprint"][name], "{:.2f}") for name in SECONDS),
                *(display.number(each["footprint"].get(name), "{:.0f}") for name in memory),
            ]
            for each in known
        ]
        columns = [MODEL, RUNTIME, *map(Column, ("size", *SECONDS.values(), *(MEMORY[name] for name in memory)))]
        return [Table(f"{self.name}: loading and memory", FOOTPRINTS, columns, rows, _groups(known))] if rows else []


def _shape(measured: Measured) -> Shape:
    return measured["kind"], measured["threads"], measured["batch_size"], measured["length"]


def _rate(shape: Measured) -> Value:
    return Value(f"{throughput(shape['batch_size'], shape['p50_ms']):,.1f}")


def _energy(shape: Measured) -> Value:
    return display.number(shape.get("energy_mj"), "{:.3g}")


def _latency(shape: Measured) -> Value:
    noisy = "~" if shape["noisy"] else ""  # None if only percentiles were sent
    tails = shape["p90_ms"] or shape.get("p95_ms"), shape["p99_ms"]
    tail = " / ".join(wording.milliseconds(value) for value in tails if value is not None)
    return Value(f"{noisy}{wording.milliseconds(shape['p50_ms'])}", tail)


def _titles(shape: Shape) -> tuple[str, str]:
    kind, threads, batch, length = shape
    title = KINDS.get(kind) or (f"batch {batch}, {length} tokens" if length and length > 1 else f"batch {batch}")
    return title, wording.plural(threads, "thread")


def _groups(entries: Sequence[Measured]) -> set[int]:
    return {n for n in range(1, len(entries)) if entries[n]["name"] != entries[n - 1]["name"]}


def _ratios(entry: Measured, plain: Measured | None) -> list[Value]:
    shape = max(
        (s for s in entry["shapes"] if s["kind"] == "shape"),
        key=lambda s: (-s["threads"], s["length"]),
        default=None,
    )
    if shape is None:
        return [EMPTY] * 3
    optimised = Value(wording.milliseconds(shape["p50_ms"]))
    same = [s for s in plain["shapes"] if _shape(s) == _shape(shape)] if plain else []
    if not same:
        return [EMPTY, optimised, EMPTY]
    before = same[0]["p50_ms"]
    return [Value(wording.milliseconds(before)), optimised, Value(wording.times(before / shape["p50_ms"], against=""))]


def _operators(graph: Mapping[str, Any] | None) -> list[Value]:
    if not graph:
        return [EMPTY] * 5
    totals = [Value(str(sum(graph[when].values()))) for when in ("before", "after")]
    return [*totals, *(display.number(graph["fused"].get(block), "{}") for block in BLOCKS)]


class LatencySection(Section):
    """Latency, throughput, energy and memory of every model."""

    title = "Latency"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """The tables of the task's benchmarks."""
        several = len({line.labels["teacher"] for line in findings.of(task)}) > 1
        found = []
        for benchmark in findings.collected.benchmarks:
            labels = benchmark.artefact.labels
            if labels["task"] == task:
                name = f"{task} on {labels['device']}" + (f", students of {labels['teacher']}" if several else "")
                measured = [each for each in benchmark.values["entries"] if each["shapes"]]
                found += _Tables(findings, benchmark, name, measured).all()
        return found


SECTION = LatencySection()
