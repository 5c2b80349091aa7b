"""Latency in full: every model in every runtime at every shape; what graph optimisation brings; what loading costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilgrid.reporting import wording
from distilgrid.reporting.cells import EMPTY
from distilgrid.reporting.collect import Measurement
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import benchmark_label
from distilgrid.reporting.table import Cell, Column, Table
from distilgrid.runtimes.registry import RUNTIMES

Candidate = Mapping[str, Any]
Shape = tuple[str, int, int, int | None]
MODEL, RUNTIME = Column("model", number=False), Column("runtime", number=False)
KINDS = {"texts": "the task's texts", "text-to-label": "text to label"}


def latency_tables(findings: Findings, task: str) -> list[Table]:
    """The tables of a task that have anything to show."""
    tables = []
    for benchmark in findings.collected.benchmarks:
        measured = [candidate for candidate in benchmark.values["candidates"] if candidate["shapes"]]
        if benchmark.artefact.labels["task"] == task and measured:
            name = f"{task} on {benchmark.artefact.labels['device']}"
            found = [_fusion(findings, task, name, measured), _footprints(name, benchmark, measured)]
            tables += [_latencies(findings, name, benchmark, measured), *(table for table in found if table)]
    return tables


def _shape(measured: Mapping[str, Any]) -> Shape:
    return measured["kind"], measured["threads"], measured["batch_size"], measured["length"]


def _latencies(findings: Findings, name: str, benchmark: Measurement, measured: Sequence[Candidate]) -> Table:
    shapes = list(dict.fromkeys(_shape(shape) for candidate in measured for shape in candidate["shapes"]))
    rows, kind = [], benchmark.values["kind"]
    for candidate in measured:
        own = {_shape(shape): shape for shape in candidate["shapes"]}
        cells = [_latency(own[shape]) if shape in own else EMPTY for shape in shapes]
        rows.append([Cell(candidate["name"]), Cell(_engine(candidate, kind)), *cells])
    columns = [MODEL, RUNTIME, *(Column(*_titles(shape)) for shape in shapes)]
    return Table(f"{name}: latency, ms", _latency_caption(findings, benchmark), columns, rows, _groups(measured))


def _latency_caption(findings: Findings, benchmark: Measurement) -> str:
    protocol = findings.collected.plan.params.benchmark
    flags = ", ".join(benchmark.values["machine"].get("flags", ())) or "no features for low precision"
    machine = f"{benchmark_label(benchmark, findings.collected)}; {flags}"
    said = (
        f"Medians on {machine}; in small print p90 and p99. ~ marks those that still drifted by "
        f"more than {protocol.max_drift:.0%}, or are not known to it."
    )
    if benchmark.values["kind"] == "local" and any(RUNTIMES[name].mobile for name in protocol.runtimes):
        said += " Runtimes made for phones ran on this processor: these are no latencies of a phone."
    return said


def _latency(shape: Mapping[str, Any]) -> Cell:
    noisy = "~" if shape["noisy"] else ""  # None where only percentiles were sent
    known = [shape[name] for name in ("p90_ms", "p99_ms") if shape[name] is not None]
    tail = " / ".join(wording.milliseconds(value) for value in known)
    return Cell(f"{noisy}{wording.milliseconds(shape['p50_ms'])}", tail)


def _engine(candidate: Candidate, kind: str) -> str:
    """The runtime; one that is made for phones says so wherever it did not run on one."""
    runtime = str(candidate["runtime"])
    elsewhere = kind == "local" and runtime in RUNTIMES and RUNTIMES[runtime].mobile
    notes = ["graph as exported"] * (not candidate["optimised"]) + ["host CPU, not a phone"] * elsewhere
    return ", ".join([runtime, *notes])


def _titles(shape: Shape) -> tuple[str, str]:
    kind, threads, batch, length = shape
    title = KINDS.get(kind) or (f"batch {batch}, {length} tokens" if length and length > 1 else f"batch {batch}")
    return title, wording.plural(threads, "thread")


def _groups(candidates: Sequence[Candidate]) -> set[int]:
    return {n for n in range(1, len(candidates)) if candidates[n]["name"] != candidates[n - 1]["name"]}


def _fusion(findings: Findings, task: str, name: str, measured: Sequence[Candidate]) -> Table | None:
    """What a runtime's rewriting of the graph brings: the counterpart of a table with and without a compiler."""
    graphs = {
        (export.artefact.labels["student"], export.artefact.labels["runtime"]): export.values.get("graph")
        for export in findings.collected.exports
        if export.artefact.labels["task"] == task
    }
    plain = {(c["name"], c["runtime"]): c for c in measured if not c["optimised"]}
    rows = []
    for candidate in (c for c in measured if c["optimised"]):
        key = candidate["name"], candidate["runtime"]
        if key in plain or graphs.get(key):
            names = [Cell(candidate["name"]), Cell(candidate["runtime"])]
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


def _ratios(candidate: Candidate, plain: Candidate | None) -> list[Cell]:
    shape = max(
        (s for s in candidate["shapes"] if s["kind"] == "shape"),
        key=lambda s: (-s["threads"], s["length"]),
        default=None,
    )
    if shape is None:
        return [EMPTY] * 3
    optimised = Cell(wording.milliseconds(shape["p50_ms"]))
    same = [s for s in plain["shapes"] if _shape(s) == _shape(shape)] if plain else []
    if not same:
        return [EMPTY, optimised, EMPTY]
    before = same[0]["p50_ms"]
    return [Cell(wording.milliseconds(before)), optimised, Cell(wording.times(before / shape["p50_ms"]))]


def _operators(graph: Mapping[str, Any] | None) -> list[Cell]:
    if not graph:
        return [EMPTY] * 5
    totals = [Cell(str(sum(graph[when].values()))) for when in ("before", "after")]
    fused = [graph["fused"].get(block) for block in ("attention", "layer_norm", "gelu")]
    return [*totals, *(EMPTY if number is None else Cell(str(number)) for number in fused)]


def _footprints(name: str, benchmark: Measurement, measured: Sequence[Candidate]) -> Table | None:
    found = [c for c in measured if c["footprint"] and "reason" not in c["footprint"]]
    if not found:
        return None
    rows = [
        [
            *(Cell(text) for text in (c["name"], _engine(c, benchmark.values["kind"]), wording.size(c["size_bytes"]))),
            *(Cell(f"{c['footprint'][key]:.2f}") for key in ("import_seconds", "load_seconds", "first_run_seconds")),
            *(Cell(f"{c['footprint'][key]:.0f}") for key in ("loaded_mib", "peak_mib")),
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
    )
    caption = "Each candidate in a process of its own, which imports the runtime, loads the model and runs it."
    columns = [MODEL, RUNTIME, *(Column(title) for title in titles)]
    return Table(f"{name}: loading and memory", caption, columns, rows, _groups(found))
