"""Tables of a report: main results, other metrics, data, export parity, rejected exports, costs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from distilgrid.benchmark.labels import low_precision
from distilgrid.reporting import budgets, display, facts, likes, wording
from distilgrid.reporting.findings import Findings, batch_words
from distilgrid.reporting.intervals import FEWEST_SEEDS
from distilgrid.reporting.lines import Line, benchmark_label
from distilgrid.reporting.noted import footnote, sentences
from distilgrid.reporting.scoring import scoring, title
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.runtimes.registry import is_exact

MODEL = Column("model", number=False)
LATENCY = ", ms"
CHANGE = "change to torch"
MOST_RUNTIMES = 4
"""The most runtimes of a main table. With more, it shows the fastest; the table of latencies has all."""
MOST_LABELS = 20
"""The most labels whose counts are listed one by one."""
ORIGIN = ("task", "student", "method", "seed", "runtime")
ORIGIN_COLUMNS = [Column(title, number=title == "seed") for title in ORIGIN]
Run = Mapping[str, Any]  # `run.json`
SMALL_PRINT = "In small print the speed-up over the teacher: in the same runtime, and in torch where that is another."
COST_TITLES = ("artefacts", "time", "processor time", "processor used", "peak memory, MiB", "energy, Wh")
COST_CAPTION = (
    "Times of jobs, added up: those side by side count each. Processor used: processor time by time and threads. "
    "Energy: of the processor, by a job's share of its machine's work, and of its GPUs, where they have counters. "
    "A job that was killed counts from where it went on."
)


def main_table(findings: Findings, task: str) -> Table:
    """The results of a task, teacher first, then its methods student by student."""
    lines, runtimes, scoring = findings.of(task), shown_runtimes(findings, task), findings.scoring(task)
    unit = f"{scoring.unit.strip()}, " if scoring.unit else ""
    report = findings.collected.plan.params.report
    columns = {
        MODEL: [display.model(line) for line in lines],
        Column(scoring.title, scoring.factor): display.scores(lines),
        Column(f"vs. {report.baseline}", f"{unit}{wording.level(report.confidence)} CI"): [
            display.difference(findings, line) for line in lines
        ],
        **budgets.columns(findings, [[line] for line in lines]),
        Column("parameters"): display.smallest(lines, "parameters", wording.count),
        Column("size", "fp32"): display.smallest(lines, "size_bytes", wording.size),
    }
    for runtime in runtimes:
        engine, precision = engine_and_precision(runtime)
        columns[Column(engine, f"{precision}{LATENCY}")] = display.marked(
            lines, partial(display.speed, runtime=runtime)
        )
    # A task of images may have no accepted export for a runtime.
    inexact = [name for name in runtimes if not is_exact(name) and any(name in line.exports for line in lines)]
    for runtime in inexact:
        engine, precision = engine_and_precision(runtime)
        named = precision if len(inexact) == 1 else f"{engine} {precision}"
        columns[Column(f"{named} {scoring.title}", CHANGE)] = display.marked(
            lines, partial(display.export, runtime=runtime)
        )
    columns[Column("init", number=False)] = [Value(line.facts["init"]) for line in lines]
    caption = f"{_captions(findings, task)} {SMALL_PRINT}"
    return Table.of(task, caption, columns, groups=name_groups(lines), links=links(lines))


def shown_runtimes(findings: Findings, task: str) -> list[str]:
    """The runtimes of the main table: all, or the first one and those that run the students fastest."""
    runtimes = findings.collected.plan.params.benchmark.runtimes
    if len(runtimes) <= MOST_RUNTIMES:
        return list(runtimes)
    speeds = [line.speeds for line in findings.of(task) if not line.is_teacher]
    found = {name: [own[name].latency_ms for own in speeds if name in own] for name in runtimes[1:]}
    fastest = sorted((name for name, measured in found.items() if measured), key=lambda name: min(found[name]))
    kept = {runtimes[0], *fastest[: MOST_RUNTIMES - 1]}
    return [runtime for runtime in runtimes if runtime in kept]


def engine_and_precision(runtime: str) -> tuple[str, str]:
    """The two parts of a runtime's name: `onnxruntime` and `int8-static`, `torch-eager` and `fp32`."""
    parts = runtime.split("-")
    place = next(n for n, part in enumerate(parts) if part.startswith(("fp", "bf", "int")))
    return "-".join(parts[:place]), "-".join(parts[place:])


def paper_table(findings: Findings, task: str) -> Table:
    """The main table for paper, without the columns and the small print that do not fit."""
    table = main_table(findings, task)
    kept = [n for n, column in enumerate(table.columns) if column.title not in ("init", "size")]
    columns = [table.columns[n] for n in kept]
    columns = [replace(c, note=findings.scoring(task).factor) if c.note == CHANGE else c for c in columns]
    rows = [[replace(row[n], note=_short(table.columns[n], row[n].note)) for n in kept] for row in table.rows]
    return replace(table, caption=_captions(findings, task), columns=columns, rows=rows)


def _short(column: Column, note: str) -> str:
    """Small print for paper: none for latencies and int8 scores, and no number of seeds after a spread."""
    return "" if column.note.endswith(LATENCY) or column.note == CHANGE else note.partition(", n=")[0]


def _captions(findings: Findings, task: str) -> str:
    parts = (scores_caption(findings, task), significance_caption(findings), latency_caption(findings, task))
    spent = budgets.caption(findings, findings.of(task))
    return " ".join(part for part in (*parts, spent, notes_caption(findings, task)) if part)


def notes_caption(findings: Findings, task: str) -> str:
    """The notes of the pretrained models behind the lines, each once, and cautions about the rows."""
    noted = sentences({name: note for line in findings.of(task) for name, note in findings.notes(line).items()})
    return f"{noted} {facts.cautions(findings.collected.datasets[task])}".strip()


def significance_caption(findings: Findings) -> str:
    """The estimator of the intervals, the meaning of a star, and what both leave out."""
    return " ".join(part for part in (_estimator(findings), *_reservations(findings)) if part)


def _estimator(findings: Findings) -> str:
    count, level = len(findings.differences), wording.level(findings.collected.plan.params.report.confidence)
    if not count:
        return ""
    if all(found.low is None for found in findings.differences.values()):
        return f"{wording.sentence(wording.ONE_SEED)}."
    return (
        f"{wording.INTERVALS}. {wording.SURE} clear at {level} after Holm's correction for "
        f"{wording.plural(count, 'comparison')}, with at least {FEWEST_SEEDS} seeds."
    )


def _reservations(findings: Findings) -> Iterator[str]:
    """What differences do not heed or do not show."""
    if findings.differences and findings.collected.plan.params.grid.replications:
        yield f"Seeds were added for claims: intervals, tones and stars {wording.ONE_LOOK}."
    left_out = sum(1 for line in findings.lines if findings.left_out(line))
    if left_out:
        said = "with constant models, or with what such a teacher taught"
        yield f"Left out: {wording.plural(left_out, 'comparison')} of this report {said}."


def scores_caption(findings: Findings, task: str) -> str:
    """The split of the scores, and the meaning of the spread."""
    split = findings.main(task)[1]
    rows = findings.collected.datasets[task]["splits"][split]["rows"]
    spreading = f"mean {wording.PLUS_MINUS} standard deviation over {wording.seeds(*findings.seeds(task))}"
    if findings.seeds(task) == (1, 1):
        spreading = f"one seed only, so no spread is known ({wording.PLUS_MINUS} {wording.DASH})"
    scored = f"{wording.sentence(findings.scoring(task).title)} on split {split} ({wording.plural(rows, 'row')})"
    said = f"{scored}, {spreading}; the teacher is one run. {wording.MARKED}."
    return f"{said} {display.constant_caption(findings.of(task))}".rstrip()


def latency_caption(findings: Findings, task: str) -> str:
    """The conditions of the latencies."""
    benchmarks, protocol = findings.collected.main_benchmarks, findings.collected.plan.params.benchmark
    names = dict.fromkeys(benchmark_label(b, findings.collected) for b in benchmarks)
    said = f"Latency: median, {batch_words(findings, task)}, on {protocol.devices[0]} ({' / '.join(names)})."
    if all(is_exact(runtime) for runtime in protocol.runtimes):
        return said
    return f"{said} Its {' / '.join(dict.fromkeys(low_precision(b.values['machine']) for b in benchmarks))}."


def other_table(findings: Findings, task: str) -> Table | None:
    """Further metrics and validation splits, or None."""
    lines, main = findings.of(task), findings.main(task)
    validation = lines[0].facts["validation"]
    others = [(metric, split) for split, values in validation.items() for metric in values if (metric, split) != main]
    if not others:
        return None
    columns = {MODEL: [display.model(line) for line in lines]}
    for metric, split in others:
        shown = [display.of_models(line, line.values(split, metric), scoring(metric)) for line in lines]
        columns[Column(title(metric), split)] = shown
    columns |= budgets.columns(findings, [[line] for line in lines])
    scales = " / ".join(dict.fromkeys(factor for metric, _ in others if (factor := scoring(metric).factor)))
    scaled = f" {scales[0]} {scales[1:]}" if scales else ""
    caption = f"Other metrics{scaled}, each with its split: mean {wording.PLUS_MINUS} standard deviation over seeds."
    notes = notes_caption(findings, task)
    parts = (caption, display.constant_caption(lines), budgets.caption(findings, lines), notes)
    caption = " ".join(part for part in parts if part)
    return Table.of(task, caption, columns, groups=name_groups(lines), links=links(lines))


def parity_table(findings: Findings) -> Table:
    """Accepted exports, compared with their torch models."""
    rows = []
    for line in findings.lines:
        for export in (export for exports in line.exports.values() for export in exports):
            labels, parity = export.artefact.labels, export.values
            texts = [line.labels["task"], line.name, line.labels["method"], str(labels["seed"]), labels["runtime"]]
            agreement = parity["label_agreement"]
            measured = [
                display.number(parity["max_abs_difference"], "{:.2g}"),
                # A regression has no labels, but a correlation with torch's numbers.
                display.number(parity.get("correlation"), "r {:.4f}")
                if agreement is None
                else Value(f"{agreement:.2%}"),
            ]
            scores = [line.scoring.score(parity[name]) for name in ("torch_score", "score")]
            rows.append([*map(Value, texts), *measured, *map(Value, (*scores, wording.size(parity["size_bytes"])))])
    measures = ("largest logit difference", "same label", "torch score", "its score", "size")
    noted = footnote(findings.collected.plan.params, findings.collected.datasets)
    caption = f"The logits of the export compared with torch's on the main validation split. {noted}".rstrip()
    return Table("Exports", caption, [*ORIGIN_COLUMNS, *map(Column, measures)], rows)


def rejected_table(findings: Findings) -> Table | None:
    """Exports that failed the parity gate, with the reason, or None."""
    rejected = [export for export in findings.collected.exports if not export.values["accepted"]]
    rows = [
        [*(Value(str(export.artefact.labels[name])) for name in ORIGIN), Value(export.values["reason"])]
        for export in rejected
    ]
    columns = [*ORIGIN_COLUMNS, Column("reason", number=False)]
    return Table("Rejected exports", "", columns, rows) if rows else None


def data_table(findings: Findings) -> Table:
    """The splits of each task with their rows, those left out, those that repeat or are like others, and notes."""
    rows: list[list[Value]] = []
    datasets, longest = findings.collected.datasets, findings.collected.plan.params.training.max_length
    compared, known = any(map(likes.compared, datasets.values())), any(map(facts.known, datasets.values()))
    groups: set[int] = set()
    for task, dataset in datasets.items():
        groups.add(len(rows))
        uses = {"train": "training", "dev": "checkpoint selection", dataset["validation"][0]: "main score"}
        uses |= dict.fromkeys(dataset["validation"][1:], "further score")
        for split, use in uses.items():
            counted = dataset["splits"][split]
            notes = "; ".join([*dataset["notes"], *dataset.get("cautions", [])]) if split == "train" else ""
            texts = [task, split, use, f"{counted['rows']:,}", _label_counts(counted["label_counts"])]
            texts += [likes.left_out(dataset, split), likes.like_rows(dataset, split)] if compared else []
            texts += [facts.repeated(dataset, split), facts.longest(dataset, split, longest)] if known else []
            rows.append([Value(text) for text in (*texts, notes)])
    shared = (*(("left out", "like rows of") if compared else ()), *(("repeated", "longest") if known else ()))
    titles = ("task", "split", "use", "rows", "labels", *shared, "notes")
    columns = [Column(title, number=title in ("rows", "left out")) for title in titles]
    caption = f"{likes.CAPTION if compared else ''} {facts.caption(datasets.values())}".strip()
    return Table("Data", caption, columns, rows, groups - {0})


def _label_counts(counts: Mapping[str, int]) -> str:
    """The number of rows with each label, or the range for many labels."""
    if len(counts) <= MOST_LABELS:
        return ", ".join(f"{label} {count}" for label, count in counts.items()) or "real numbers"
    fewest, most = min(counts.values()), max(counts.values())
    return f"{len(counts)} labels, {fewest:,} {'each' if fewest == most else f'to {most:,} rows each'}"


def links(lines: Sequence[Line]) -> dict[int, str]:
    """The page's anchor for the provenance of each row."""
    return {number: line.anchor for number, line in enumerate(lines)}


def name_groups(lines: Sequence[Line]) -> set[int]:
    """The rows where the name of the model changes."""
    return {n for n in range(1, len(lines)) if lines[n].name != lines[n - 1].name}


def spending(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The costs of each stage, in the order of their first artefacts, and of all stages together.

    A value is None when no artefact recorded it. `known` is the number of artefacts that recorded more than their time,
    `metered` that of those that recorded their energy. `used` is processor time divided by time and threads.
    """
    stages: dict[str, list[Run]] = {}
    for run in runs:
        stages.setdefault(run["stage"], []).append(run)
    return [_spent(name, group) for name, group in [*stages.items(), ("all", runs)]]


def compute_table(runs: Sequence[Run]) -> Table:
    """The costs of each stage and of all stages."""
    rows = [_spent_row(stage) for stage in spending(runs)]
    columns = [Column("stage", number=False), *map(Column, COST_TITLES)]
    return Table("Compute", COST_CAPTION, columns, rows, {len(rows) - 1})


def compute_json(runs: Sequence[Run]) -> dict[str, Any]:
    """The costs as plain values, with the number of artefacts of each machine and each set of package versions."""
    environment = [{"text": text, "artefacts": count} for text, count in environment_texts(runs)]
    return {"stages": spending(runs), "environment": environment}


def environment_texts(runs: Sequence[Run]) -> list[tuple[str, int]]:
    """The distinct machines, then the distinct sets of package versions, each with its number of artefacts."""
    counted = [Counter(_described(run[name]) for run in runs) for name in ("machine", "versions")]
    return [item for counts in counted for item in counts.items()]


def _described(values: Mapping[str, Any]) -> str:
    shown = {name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in values.items()}
    return f" {wording.DOT} ".join(f"{name} {v if isinstance(v, str) else json.dumps(v)}" for name, v in shown.items())


def _spent(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    known = [run for run in runs if "cost" in run]
    costs = [run["cost"] for run in known]
    energies = [sum(cost["energy_j"].values()) for cost in costs if cost["energy_j"]]
    available = sum(run["seconds"] * run["cost"]["threads"] for run in known)
    cpu_seconds = sum(cost["cpu_seconds"] for cost in costs)
    return {
        "name": name,
        "artefacts": len(runs),
        "known": len(known),
        "seconds": sum(run["seconds"] for run in runs),
        "cpu_seconds": cpu_seconds,
        "used": cpu_seconds / available if available else None,
        "peak_memory_mib": max((cost["peak_memory_mib"] for cost in costs), default=None),
        "energy_j": sum(energies) if energies else None,
        "metered": len(energies),
    }


def _spent_row(spent: Mapping[str, Any]) -> list[Value]:
    partly, metered = (
        "" if spent[name] == spent["artefacts"] else f"of {spent[name]}" for name in ("known", "metered")
    )
    used, memory, energy = spent["used"], spent["peak_memory_mib"], spent["energy_j"]
    return [
        Value(spent["name"]),
        Value(f"{spent['artefacts']:,}"),
        Value(wording.duration(spent["seconds"])),
        Value(wording.duration(spent["cpu_seconds"]), partly) if spent["known"] else display.EMPTY,
        display.EMPTY if used is None else Value(wording.percent(used)),
        display.EMPTY if memory is None else Value(f"{memory:,.0f}"),
        display.EMPTY if energy is None else Value(f"{energy / 3600:,.1f}", metered),
    ]
