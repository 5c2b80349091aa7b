"""Latency of every model in every runtime at every shape, with throughput, energy, graph optimisation and loading."""

from collections.abc import Callable, Mapping, Sequence
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

Candidate = Mapping[str, Any]
Measured = Mapping[str, Any]
Shape = tuple[str, int, int, int | None]
MODEL, RUNTIME = Column("model", number=False), Column("runtime", number=False)
THROUGHPUT = "One call after the other: the batch size, divided by the median latency of a call."
ENERGY = "Of a call: by the counter of the processor or the GPU, which counts everything that ran on it meanwhile."
KINDS = {"texts": "the task's texts", "text-to-label": "text to label"}


def _of_benchmark(findings: Findings, task: str, benchmark: FinishedArtefact) -> list[Table]:
    measured = [candidate for candidate in benchmark.values["candidates"] if candidate["shapes"]]
    labels = benchmark.artefact.labels
    several = len({line.labels["teacher"] for line in findings.of(task)}) > 1
    name = f"{task} on {labels['device']}" + (f", students of {labels['teacher']}" if several else "")
    found = [_missing(name, benchmark)]
    counted = any(shape.get("energy_mj") is not None for candidate in measured for shape in candidate["shapes"])

    def rate(shape: Measured) -> Value:
        return Value(f"{throughput(shape['batch_size'], shape['p50_ms']):,.1f}")

    def energy(shape: Measured) -> Value:
        return display.number(shape.get("energy_mj"), "{:.3g}")

    if measured:
        found = [
            _grid(f"{name}: latency, ms", _latency_caption(findings, benchmark), benchmark, measured, _latency),
            _grid(f"{name}: inputs per second", THROUGHPUT, benchmark, measured, rate),
            _grid(f"{name}: energy, mJ", ENERGY, benchmark, measured, energy) if counted else None,
            *found,
            _fusion(findings, name, benchmark, measured),
            _footprints(name, benchmark, measured),
        ]
    return [table for table in found if table]


def _shape(measured: Mapping[str, Any]) -> Shape:
    return measured["kind"], measured["threads"], measured["batch_size"], measured["length"]


def _grid(
    title: str,
    caption: str,
    benchmark: FinishedArtefact,
    measured: Sequence[Candidate],
    value: Callable[[Measured], Value],
) -> Table:
    """A row for each candidate, a column for each shape."""
    shapes = list(dict.fromkeys(_shape(shape) for candidate in measured for shape in candidate["shapes"]))
    rows = []
    for candidate in measured:
        own = {_shape(shape): shape for shape in candidate["shapes"]}
        values = [value(own[shape]) if shape in own else EMPTY for shape in shapes]
        rows.append([Value(candidate["name"]), Value(_engine(candidate, benchmark)), *values])
    columns = [MODEL, RUNTIME, *(Column(*_titles(shape)) for shape in shapes)]
    return Table(title, caption, columns, rows, _groups(measured))


def _latency_caption(findings: Findings, benchmark: FinishedArtefact) -> str:
    protocol = findings.collected.plan.params.benchmark
    machine = f"{benchmark_label(benchmark, findings.collected)}; {low_precision(benchmark.values['machine'])}"
    said = (
        f"Medians on {machine}; in small print p90 (or p95) and p99. ~ marks medians that still drifted by "
        f"more than {protocol.max_drift:.0%}, or are not known to it."
    )
    if benchmark.values["kind"] == "local" and any(RUNTIMES[name].mobile for name in protocol.runtimes):
        said += " Runtimes made for phones ran on this processor: these are not latencies of a phone."
    return said


def _latency(shape: Measured) -> Value:
    noisy = "~" if shape["noisy"] else ""  # None if only percentiles were sent
    tails = shape["p90_ms"] or shape.get("p95_ms"), shape["p99_ms"]
    known = [value for value in tails if value is not None]
    tail = " / ".join(wording.milliseconds(value) for value in known)
    return Value(f"{noisy}{wording.milliseconds(shape['p50_ms'])}", tail)


def _missing(name: str, benchmark: FinishedArtefact) -> Table | None:
    """The measurements that are missing, with the reason."""
    rows = []
    for candidate in benchmark.values["candidates"]:
        who = [Value(candidate["name"]), Value(_engine(candidate, benchmark))]
        skipped = [(shape_words(shape), shape["reason"]) for shape in candidate["skipped_shapes"]]
        if candidate["skipped"]:
            skipped = [("anything", candidate["skipped"])]
        if candidate["footprint"] and "reason" in candidate["footprint"]:
            skipped.append(("load time and memory", candidate["footprint"]["reason"]))
        rows += [[*who, Value(what), Value(reason)] for what, reason in skipped]
    columns = [MODEL, RUNTIME, Column("not measured", number=False), Column("reason", number=False)]
    return Table(f"{name}: not measured", "", columns, rows) if rows else None


def _engine(candidate: Candidate, benchmark: FinishedArtefact) -> str:
    """The runtime, with a note if it is made for phones and ran elsewhere."""
    machine, kind = benchmark.values["machine"], benchmark.values["kind"]
    note = phone_note(machine, runtime=candidate["runtime"], kind=kind)
    notes = ["graph as exported"] * (not candidate["optimised"]) + [note] * bool(note)
    return ", ".join([str(candidate["runtime"]), *notes])


def _titles(shape: Shape) -> tuple[str, str]:
    kind, threads, batch, length = shape
    title = KINDS.get(kind) or (f"batch {batch}, {length} tokens" if length and length > 1 else f"batch {batch}")
    return title, wording.plural(threads, "thread")


def _groups(candidates: Sequence[Candidate]) -> set[int]:
    return {n for n in range(1, len(candidates)) if candidates[n]["name"] != candidates[n - 1]["name"]}


def _fusion(findings: Findings, name: str, benchmark: FinishedArtefact, measured: Sequence[Candidate]) -> Table | None:
    """The gain of rewriting the graph: latencies and operators with graph optimisation off and on."""
    labels = benchmark.artefact.labels
    graphs = {
        (export.artefact.labels["student"], export.artefact.labels["runtime"]): export.values.get("graph")
        for export in findings.collected.exports
        if all(export.artefact.labels[axis] == labels[axis] for axis in ("task", "teacher"))
    }
    plain = {(c["name"], c["runtime"]): c for c in measured if not c["optimised"]}
    rows = []
    for candidate in (c for c in measured if c["optimised"]):
        key = candidate["name"], candidate["runtime"]
        if key in plain or graphs.get(key):
            names = [Value(candidate["name"]), Value(candidate["runtime"])]
            rows.append([*names, *_ratios(candidate, plain.get(key)), *_operators(graphs.get(key))])
    if not rows:
        return None
    titles = ("as exported, ms", "optimised, ms", "speed-up", "operators before", "after", "attention")
    columns = [MODEL, RUNTIME, *(Column(title) for title in (*titles, "layer norm", "GELU"))]
    caption = (
        "Graph optimisation switched off and on, at the longest length with the first number of threads; operators in "
        "the exported file and after the runtime's rewriting; how many blocks run as one operator each."
    )
    return Table(f"{name}: what fusion brings", caption, columns, rows)


def _ratios(candidate: Candidate, plain: Candidate | None) -> list[Value]:
    shape = max(
        (s for s in candidate["shapes"] if s["kind"] == "shape"),
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
    return [Value(wording.milliseconds(before)), optimised, Value(wording.times(before / shape["p50_ms"]))]


def _operators(graph: Mapping[str, Any] | None) -> list[Value]:
    if not graph:
        return [EMPTY] * 5
    totals = [Value(str(sum(graph[when].values()))) for when in ("before", "after")]
    fused = [graph["fused"].get(block) for block in ("attention", "layer_norm", "gelu")]
    return [*totals, *(EMPTY if number is None else Value(str(number)) for number in fused)]


def _footprints(name: str, benchmark: FinishedArtefact, measured: Sequence[Candidate]) -> Table | None:
    found = [c for c in measured if c["footprint"] and "reason" not in c["footprint"]]
    if not found:
        return None
    rows = [
        [
            *(Value(text) for text in (c["name"], _engine(c, benchmark), wording.size(c["size_bytes"]))),
            *(Value(f"{c['footprint'][key]:.2f}") for key in ("import_seconds", "load_seconds", "first_run_seconds")),
            *(Value(f"{c['footprint'][key]:.0f}") for key in ("loaded_mib", "peak_mib")),
            display.number(c["footprint"].get("gpu_peak_mib"), "{:.0f}"),
        ]
        for c in found
    ]
    titles = (
        "size",
        "packages, s",
        "loading, s",
        "first run, s",
        "memory of the model, MiB",
        "peak of the process, MiB",
        "peak on the GPU, MiB",
    )
    caption = "Each candidate in a separate process, which imports the runtime, loads the model and runs it."
    columns = [MODEL, RUNTIME, *(Column(title) for title in titles)]
    if all("gpu_peak_mib" not in c["footprint"] for c in found):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(f"{name}: loading and memory", caption, columns, rows, _groups(found))


class LatencySection(Section):
    """Latency, throughput, energy and memory of every model."""

    title = "Latency"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """The tables of the task's benchmarks."""
        benchmarks = [found for found in findings.collected.benchmarks if found.artefact.labels["task"] == task]
        return [table for benchmark in benchmarks for table in _of_benchmark(findings, task, benchmark)]


SECTION = LatencySection()
