"""Measurements of a benchmark's entries: at fixed shapes, at the lengths of a task's texts, and from text to label."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product, repeat
from pathlib import Path
from typing import Any

import numpy as np

from distilgrid.benchmark.entries import Entry, Shape
from distilgrid.benchmark.footprint import footprint
from distilgrid.benchmark.labels import shape_words, throughput
from distilgrid.benchmark.protocol import Run, Work, measure, repeated
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.cost import Counter, energy_counter
from distilgrid.runtimes.base import Processor, RunOptions, Session, UnsupportedError
from distilgrid.runtimes.guards import refusing
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.text_reader import TextReader
from distilgrid.tasks.dataset import Dataset, texts
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.model_inputs import SEED

Prepared = tuple[Work, dict[str, Any]]
"""The calls of an entry, and facts for its measurement."""


@dataclass(frozen=True)
class Texts:
    """Validation texts that represent a task's lengths."""

    rows: list[tuple[str, str | None]]  # texts, and second texts of pairs
    kind: TaskKind
    labels: tuple[str, ...]  # names of the outputs; empty for a kind without a set
    longest: int  # the maximum of tokens that are read


def choose_texts(dataset: Dataset, folder: Path, *, count: int, longest: int) -> Texts:
    """Up to `count` rows of the main validation split at evenly spaced ranks of length, in a seeded random order.

    The tokeniser in `folder` decides the lengths; `longest` is the maximum of tokens that the models read.
    """
    first, second = texts(dataset.split(dataset.validation[0]))
    rows = list(zip(first, second or repeat(None, len(first)), strict=True))
    reader = TextReader(folder, names=["input_ids"], longest=longest)
    by_length = np.argsort([reader(*row)["input_ids"].size for row in rows], kind="stable")
    ranks = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    chosen = np.random.default_rng(SEED).permutation(by_length[ranks])
    return Texts([rows[row] for row in chosen], dataset.task_kind, dataset.labels, longest)


def open_entries(entries: Sequence[Entry], settings: Benchmark, *, threads: int, processor: Processor) -> None:
    """Load every entry that can run with these threads; the first time also measure load time and memory."""
    for entry in entries:  # ExecuTorch's threads can only be set while none of its models is loaded
        entry.session = None
    for entry in entries:
        if entry.skipped is not None:
            continue
        how = RunOptions(threads, processor, entry.optimised)
        try:
            with refusing():
                entry.session = open_runtime(entry.runtime)(entry.folder, how)
        except UnsupportedError as reason:
            entry.skip({"threads": threads}, str(reason))
            continue
        if settings.footprint and entry.footprint is None:
            reads = entry.model.reads
            inputs = reads.make(settings.batch_sizes[0], reads.lengths(settings.lengths)[-1])
            entry.footprint = footprint(runtime=entry.runtime, folder=entry.folder, how=how, inputs=inputs)


def measure_shapes(
    entries: Sequence[Entry], settings: Benchmark, *, threads: int, processor: Processor, texts: Texts | None
) -> None:
    """Time all loaded entries at every shape of the protocol, and on the texts if given."""
    bench = partial(_measure, entries, settings, energy_counter(processor))
    reads = [entry.model.reads for entry in entries if entry.session is not None]
    lengths = dict.fromkeys(length for each in reads for length in each.lengths(settings.lengths))
    for batch_size, length in product(settings.batch_sizes, lengths):
        shape = {"kind": "shape", "threads": threads, "batch_size": batch_size, "length": length}
        bench(shape, partial(_fixed, settings=settings, shape=shape))
    if texts is not None:
        for kind in ("texts", "text-to-label"):
            shape = {"kind": kind, "threads": threads, "batch_size": 1, "length": None}
            bench(shape, partial(_of_texts, chosen=texts, to_label=kind == "text-to-label"))


def _measure(
    entries: Sequence[Entry],
    settings: Benchmark,
    energy: Counter | None,
    shape: Shape,
    prepare: Callable[[Entry], Prepared | None],
) -> None:
    """Time the entries whose calls have all run once, side by side, and add the results to the entries."""
    ready: list[tuple[Entry, Work, dict[str, Any]]] = []
    for entry in (entry for entry in entries if entry.session is not None):
        try:
            with refusing():
                prepared = prepare(entry)
                for call in {id(call): call for call in (prepared[0] if prepared else ())}.values():
                    call()
        except UnsupportedError as reason:
            entry.skip(shape, str(reason))
        else:
            ready += [(entry, *prepared)] if prepared else []
    works = [work for _, work, _ in ready]
    try:
        with refusing():
            series = measure(works, protocol=settings, label=f"latency at {shape_words(shape)}", energy=energy)
    except UnsupportedError as reason:  # the runtime does not tell which of them it was
        for entry, *_ in ready:
            entry.skip(shape, f"one of the models that took turns {reason}")
        return
    for (entry, _, more), measured in zip(ready, series, strict=True):
        summary = measured.summary(max_drift=settings.max_drift)
        rate = round(throughput(shape["batch_size"], summary["p50_ms"]), 3)
        entry.shapes.append({**shape, **more, "throughput": rate, **summary})


def _fixed(entry: Entry, *, settings: Benchmark, shape: Shape) -> Prepared | None:
    """The work of one shape; None if the model lacks this length."""
    model, length = entry.model, shape["length"]
    if length not in model.reads.lengths(settings.lengths):
        return None
    if model.longest is not None and length > model.longest:
        raise UnsupportedError(f"length {length} is more than the model's {model.longest} positions")
    assert entry.session is not None
    return repeated(entry.session.bind(model.reads.make(shape["batch_size"], length))), {}


def _of_texts(entry: Entry, *, chosen: Texts, to_label: bool) -> Prepared:
    """The model alone on prepared tokens, or the way from text to label; with facts about the texts."""
    reader = TextReader(entry.folder, names=entry.model.input_names, longest=chosen.longest)
    assert entry.session is not None
    rows = [reader(*row) for row in chosen.rows]
    calls = label_calls(chosen, reader, entry.session) if to_label else [entry.session.bind(row) for row in rows]
    tokens = [row["input_ids"].size for row in rows]
    low, middle, high = np.percentile(tokens, [0, 50, 100]).astype(int).tolist()
    return calls, {"texts": len(tokens), "tokens": {"least": low, "median": middle, "most": high}}


def label_calls(chosen: Texts, reader: TextReader, session: Session) -> list[Run]:
    """One call for each text: from the text to its label, or to its number."""

    def label(row: tuple[str, str | None]) -> str | float:
        outputs = session.bind(reader(*row))()
        return chosen.kind.answer(outputs, chosen.labels)

    return [partial(label, row) for row in chosen.rows]
