"""The candidates of one benchmark with their measurements so far."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

from distilgrid.benchmark.candidates import Candidate
from distilgrid.benchmark.footprint import footprint
from distilgrid.benchmark.labels import shape_words, throughput
from distilgrid.benchmark.protocol import Work, measure, repeated
from distilgrid.benchmark.settings import Benchmark
from distilgrid.benchmark.texts import Texts, facts, label_calls, model_calls
from distilgrid.core.energy import Counter, energy_counter
from distilgrid.runtimes.base import Processor, RunOptions, Session, UnsupportedError
from distilgrid.runtimes.guards import refusing
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.text_reader import TextReader

Shape = Mapping[str, Any]
"""A measured shape: `kind` (`shape`, `texts` or `text-to-label`), `threads`, `batch_size`, `length` in tokens."""
Prepared = tuple[Work, dict[str, Any]]
"""The calls of a candidate, and facts for its measurement."""


@dataclass
class Entry:
    """A candidate on the way to its entry in `benchmark.json`; `session` is None if it cannot run."""

    candidate: Candidate
    session: Session | None = None
    footprint: dict[str, Any] | None = None
    shapes: list[dict[str, Any]] = field(default_factory=list)
    skipped_shapes: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The entry; a candidate whose shapes are all skipped is skipped as a whole."""
        described = self.candidate.describe()
        if self.skipped_shapes and not self.shapes:
            described["skipped"] = self.skipped_shapes[0]["reason"]
        measured = {"footprint": self.footprint, "shapes": self.shapes, "skipped_shapes": self.skipped_shapes}
        return {**described, **measured}

    def skip(self, shape: Shape, reason: str) -> None:
        """Keep the reason for a shape that is not measured."""
        self.skipped_shapes.append({**shape, "reason": reason})


def open_entries(entries: Sequence[Entry], settings: Benchmark, *, threads: int, processor: Processor) -> None:
    """Load every candidate that can run with these threads; the first time also measure load time and memory."""
    for entry in entries:  # ExecuTorch's threads can only be set while none of its models is loaded
        entry.session = None
    for entry in entries:
        candidate = entry.candidate
        if candidate.skipped is not None:
            continue
        how = RunOptions(threads, processor, candidate.optimised)
        try:
            with refusing():
                entry.session = open_runtime(candidate.runtime)(candidate.folder, how)
        except UnsupportedError as reason:
            entry.skip({"threads": threads}, str(reason))
            continue
        if settings.footprint and entry.footprint is None:
            inputs = candidate.model.inputs(settings.batch_sizes[0], candidate.model.lengths(settings.lengths)[-1])
            entry.footprint = footprint(runtime=candidate.runtime, folder=candidate.folder, how=how, inputs=inputs)


def measure_shapes(
    entries: Sequence[Entry], settings: Benchmark, *, threads: int, processor: Processor, texts: Texts | None
) -> None:
    """Time all loaded candidates at every shape of the protocol, and on the texts if given."""
    bench = partial(_measure, entries, settings, energy_counter(processor))
    for batch_size, length in product(settings.batch_sizes, _lengths(settings, entries)):
        shape = {"kind": "shape", "threads": threads, "batch_size": batch_size, "length": length}
        bench(shape, partial(_fixed, settings=settings, shape=shape))
    if texts is not None:
        for kind, calls in (("texts", model_calls), ("text-to-label", label_calls)):
            shape = {"kind": kind, "threads": threads, "batch_size": 1, "length": None}
            bench(shape, partial(_of_texts, texts=texts, calls=calls))


def _lengths(settings: Benchmark, entries: Sequence[Entry]) -> list[int]:
    """All lengths at which a loaded candidate is measured."""
    found = (entry.candidate.model.lengths(settings.lengths) for entry in entries if entry.session is not None)
    return list(dict.fromkeys(length for lengths in found for length in lengths))


def _measure(
    entries: Sequence[Entry],
    settings: Benchmark,
    energy: Counter | None,
    shape: Shape,
    prepare: Callable[[Entry], Prepared | None],
) -> None:
    """Time the candidates side by side and add the results to their entries."""
    ready = list(_ready(entries, shape, prepare))
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


def _ready(
    entries: Sequence[Entry], shape: Shape, prepare: Callable[[Entry], Prepared | None]
) -> Iterator[tuple[Entry, Work, dict[str, Any]]]:
    """The candidates whose calls have all run once; skip the others."""
    for entry in entries:
        if entry.session is None:
            continue
        try:
            with refusing():
                prepared = prepare(entry)
                for call in {id(call): call for call in (prepared[0] if prepared else ())}.values():
                    call()
        except UnsupportedError as reason:
            entry.skip(shape, str(reason))
            continue
        if prepared is not None:
            yield entry, *prepared


def _fixed(entry: Entry, *, settings: Benchmark, shape: Shape) -> Prepared | None:
    """The work of one shape; None if the model lacks this length."""
    model, length = entry.candidate.model, shape["length"]
    if length not in model.lengths(settings.lengths):
        return None
    if model.longest is not None and length > model.longest:
        raise UnsupportedError(f"length {length} is more than the model's {model.longest} positions")
    assert entry.session is not None
    return repeated(entry.session.bind(model.inputs(shape["batch_size"], length))), {}


def _of_texts(entry: Entry, *, texts: Texts, calls: Callable[[Texts, TextReader, Session], Work]) -> Prepared:
    model = entry.candidate.model
    reader = TextReader(entry.candidate.folder, names=model.input_names, longest=texts.longest)
    assert entry.session is not None
    return calls(texts, reader, entry.session), facts(texts, reader)
