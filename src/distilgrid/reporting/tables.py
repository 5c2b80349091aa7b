"""The tables of a report: main results, other metrics, data, export parity, rejected exports."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from distilgrid.reporting import wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line, shape, spread
from distilgrid.reporting.table import Cell, Column, Table

EMPTY = Cell(wording.DASH)
MODEL = Column("model", number=False)
LATENCY = ", ms"
SMALL_PRINT = "Beside it the speed-up against the teacher in the same runtime / in torch."


def main_table(findings: Findings, task: str) -> Table:
    """The results of a task: teacher first, then student by student its methods; the best of each column marked."""
    lines = findings.of(task)
    runtimes = findings.collected.plan.params.benchmark.runtimes
    metric = findings.main(task)[0]
    report = findings.collected.plan.params.report
    columns = {
        MODEL: [_model_cell(line) for line in lines],
        Column(wording.METRICS[metric], f"{wording.TIMES}100"): _best(lines, _score_cell, lambda line: line.score),
        Column(f"vs. {report.baseline}", f"points, {wording.level(report.confidence)} CI"): [
            _difference_cell(findings, line) for line in lines
        ],
        Column("parameters"): _best(lines, _parameters_cell, lambda line: -line.facts["parameters"]),
        Column("size", "fp32"): _best(lines, _size_cell, lambda line: -line.facts["size_bytes"]),
    }
    for runtime in runtimes:
        engine, _, precision = runtime.rpartition("-")
        columns[Column(engine, f"{precision}{LATENCY}")] = _best(
            lines, lambda line, r=runtime: _speed_cell(line, r), lambda line, r=runtime: _negated_latency(line, r)
        )
    for runtime in (runtime for runtime in runtimes if runtime.endswith("int8")):
        columns[Column(f"int8 {wording.METRICS[metric]}", "change to torch")] = _best(
            lines, lambda line, r=runtime: _export_cell(line, r), lambda line, r=runtime: line.export_score(r)
        )
    columns[Column("init", number=False)] = [Cell(line.facts["init"]) for line in lines]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    caption = f"{scores_caption(findings, task)} {latency_caption(findings)} {SMALL_PRINT}"
    return Table(task, caption, list(columns), rows, _groups(lines))


def paper_table(findings: Findings, task: str) -> Table:
    """The main table without the columns and the small print for which a page has no room."""
    table = main_table(findings, task)
    kept = [n for n, column in enumerate(table.columns) if column.title not in ("init", "size")]
    plain = {n for n in kept if table.columns[n].note.endswith(LATENCY)}
    rows = [[replace(row[n], note="") if n in plain else row[n] for n in kept] for row in table.rows]
    caption = f"{scores_caption(findings, task)} {latency_caption(findings)}"
    return replace(table, caption=caption, columns=[table.columns[n] for n in kept], rows=rows)


def scores_caption(findings: Findings, task: str) -> str:
    """Which split the scores come from, and what the spread is."""
    metric, split = findings.main(task)
    rows = findings.collected.datasets[task]["splits"][split]["rows"]
    seeds = findings.collected.plan.params.grid.seeds
    spreading = f"mean {wording.PLUS_MINUS} standard deviation over {len(seeds)} seeds"
    if len(seeds) == 1:
        spreading = f"one seed only, so no spread is known ({wording.PLUS_MINUS} {wording.DASH})"
    name = wording.METRICS[metric]
    return f"{name[0].upper()}{name[1:]} on split {split} ({wording.plural(rows, 'row')}), {spreading}; the teacher is one run."


def latency_caption(findings: Findings) -> str:
    """How latency was measured, and where."""
    batch, length = shape(findings.collected)
    protocol = findings.collected.plan.params.benchmark
    processors = dict.fromkeys(b.values["machine"]["cpu"] for b in findings.collected.benchmarks)
    device = f"{protocol.device} ({' / '.join(processors)}, {wording.plural(protocol.threads, 'thread')})"
    return f"Latency: median, batch of {batch}, {length} tokens, on {device}."


def other_table(findings: Findings, task: str) -> Table | None:
    """Metrics and validation splits besides the main score; None when there are none."""
    lines, main = findings.of(task), findings.main(task)
    validation = lines[0].facts["validation"]
    others = [(metric, split) for split, values in validation.items() for metric in values if (metric, split) != main]
    if not others:
        return None
    columns = [MODEL, *(Column(wording.METRICS[metric], split) for metric, split in others)]
    rows = [
        [_model_cell(line), *(_mean_cell(line.values(split, metric)) for metric, split in others)] for line in lines
    ]
    caption = f"Other metrics {wording.TIMES} 100, each with its split: mean {wording.PLUS_MINUS} standard deviation."
    return Table(task, caption, columns, rows, _groups(lines))


def parity_table(findings: Findings) -> Table:
    """Accepted exports beside the torch models that they were made from."""
    rows = [
        [
            *(Cell(text) for text in (line.labels["task"], line.name, line.labels["method"])),
            *(Cell(str(export.artefact.labels[name])) for name in ("seed", "runtime")),
            _number(export.values["max_abs_difference"], "{:.2g}"),
            _number(export.values["label_agreement"], "{:.2%}"),
            Cell(wording.score(export.values["torch_score"])),
            Cell(wording.score(export.values["score"])),
            Cell(wording.size(export.values["size_bytes"])),
        ]
        for line in findings.lines
        for runtime, exports in line.exports.items()
        for export in exports
    ]
    measures = ["largest logit difference", "same label", "torch score", "its score", "size"]
    return Table("Exports", "", [*_origin_columns(), *(Column(title) for title in measures)], rows)


def rejected_table(findings: Findings) -> Table | None:
    """Exports that failed the parity gate, with the reason; None when all were accepted."""
    rejected = [export for export in findings.collected.exports if not export.values["accepted"]]
    if not rejected:
        return None
    rows = []
    for export in rejected:
        names = ("task", "student", "method", "seed", "runtime")
        rows.append([Cell(str(export.artefact.labels[name])) for name in names] + [Cell(str(export.values["reason"]))])
    return Table("Rejected exports", "", [*_origin_columns(), Column("reason", number=False)], rows)


def data_table(findings: Findings) -> Table:
    """Splits with their rows, and notes."""
    rows = []
    for task, dataset in findings.collected.datasets.items():
        used = {"train": "training", "dev": "checkpoint selection", dataset["validation"][0]: "main score"}
        for number, (split, facts) in enumerate(dataset["splits"].items()):
            labels = ", ".join(f"{label} {count}" for label, count in facts["label_counts"].items()) or "real numbers"
            cells = [task, split, used.get(split, "further score"), f"{facts['rows']:,}", labels]
            rows.append([Cell(text) for text in cells] + [Cell("; ".join(dataset["notes"]) if number == 0 else "")])
    columns = [Column(title, number=title == "rows") for title in ("task", "split", "use", "rows", "labels", "notes")]
    return Table("Data", "", columns, rows, {n for n, row in enumerate(rows) if row[1].text == "train"})


def _origin_columns() -> list[Column]:
    return [Column(title, number=title == "seed") for title in ("task", "student", "method", "seed", "runtime")]


def _groups(lines: Sequence[Line]) -> set[int]:
    return {n for n in range(1, len(lines)) if lines[n].name != lines[n - 1].name}


def _best(lines: Sequence[Line], make: Callable[[Line], Cell], value: Callable[[Line], float | None]) -> list[Cell]:
    """A column's cells; the highest value among the students is marked, unless all are equal."""
    values = [value(line) for line in lines if not line.is_teacher]
    known = {v for v in values if v is not None}
    best = max(known) if len(known) > 1 else None
    return [
        replace(make(line), best=best is not None and not line.is_teacher and value(line) == best) for line in lines
    ]


def _model_cell(line: Line) -> Cell:
    return Cell(line.labels["method"], line.name)


def _score_cell(line: Line) -> Cell:
    return _mean_cell(line.scores)


def _mean_cell(values: list[float]) -> Cell:
    """Mean, standard deviation and number of seeds."""
    deviation = spread(values)
    shown = wording.DASH if deviation is None else wording.score(deviation)
    return Cell(wording.score(sum(values) / len(values)), f"{wording.PLUS_MINUS} {shown}, n={len(values)}")


def _difference_cell(findings: Findings, line: Line) -> Cell:
    difference = findings.differences.get(line.key)
    if difference is None:
        baseline = line.labels["method"] == findings.collected.plan.params.report.baseline
        return Cell("baseline") if baseline else EMPTY
    tone = "" if difference.verdict == "unclear" else difference.verdict
    return Cell(wording.signed(difference.value), wording.bounds(difference.low, difference.high), tone=tone)


def _parameters_cell(line: Line) -> Cell:
    return Cell(wording.count(line.facts["parameters"]))


def _size_cell(line: Line) -> Cell:
    return Cell(wording.size(line.facts["size_bytes"]))


def _negated_latency(line: Line, runtime: str) -> float | None:
    speed = line.speeds.get(runtime)
    return -speed.latency_ms if speed else None


def _speed_cell(line: Line, runtime: str) -> Cell:
    if runtime in line.rejected:
        return Cell("rejected")
    speed = line.speeds.get(runtime)
    if speed is None:
        return EMPTY
    against = [speed.same] if runtime.startswith("torch-") else [speed.same, speed.torch]
    note = " / ".join(wording.times(factor) for factor in against if factor is not None)
    return Cell(wording.milliseconds(speed.latency_ms), note)


def _export_cell(line: Line, runtime: str) -> Cell:
    score, change = line.export_score(runtime), line.export_change(runtime)
    if score is None or change is None:
        return EMPTY
    return Cell(wording.score(score), f"{wording.signed(change)}, n={len(line.exports[runtime])}")


def _number(value: float | None, pattern: str) -> Cell:
    return EMPTY if value is None else Cell(pattern.format(value))
