"""Measure exported models on a device that has only their runtime, and write a file for a device to import.

`python -m distilgrid.devices.measure EXPORT... --name "Raspberry Pi 5" --out drop.json`

Needs NumPy, SciPy, pydantic and the runtime; neither torch nor transformers.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from distilgrid import __version__
from distilgrid.benchmark.inputs import PARITY, read_inputs
from distilgrid.benchmark.pinning import alone, pinned
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import check_writable
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.core.machine import describe_machine, usable_cores
from distilgrid.core.messages import first_problem
from distilgrid.devices.imported import Description, Imported, Measurement, Skipped, Times, write_import
from distilgrid.devices.settings import LocalDevice
from distilgrid.runtimes.base import RunOptions, Session, UnsupportedError
from distilgrid.runtimes.guards import refusing
from distilgrid.runtimes.registry import find_runtime, open_runtime
from distilgrid.tasks.model_inputs import ModelInputs

Checked = TypeVar("Checked", Benchmark, LocalDevice, Description)


@dataclass(frozen=True)
class Exported:
    """An accepted export's folder, verified; `model` is the key of the trained model."""

    folder: Path
    model: str
    runtime: str
    inputs: ModelInputs


@dataclass
class _ExportEntry:
    """A loaded export, or the reason why it cannot be loaded, with its measurements so far."""

    export: Exported
    session: Session | str
    found: list[Times | Skipped] = field(default_factory=list)


def open_exported(folder: Path) -> Exported:
    """Open an export; UserError if it is damaged or rejected, holds no model, or does not name its inputs."""
    found = open_finished(folder, stage="export")
    parity = found.json(PARITY)
    if not parity["accepted"]:
        raise UserError(f"{folder}: this export was rejected: {parity['reason']}")
    if not find_runtime(parity["runtime"]).exported:
        raise UserError(f"{folder}: holds no model: {parity['runtime']} runs the trained model itself; give an export")
    return Exported(folder, found.run["recipe"]["inputs"]["model"], parity["runtime"], read_inputs(found))


def _measure_all(
    exports: Sequence[Exported], protocol: Benchmark, here: LocalDevice, device: Description, out: Path
) -> None:
    """Measure exports side by side, at every batch size, length and number of threads.

    Exports that do not run are skipped with a reason. Threads go from many to few, because OpenVINO counts the cores of
    a process only once. The file has all measurements after each number of threads.
    """
    measurements: list[Measurement] = []
    with alone():
        for threads in sorted(here.threads, reverse=True):
            with pinned(threads, protocol.cores, key="--cores"):
                measurements += _measure(exports, protocol, RunOptions(threads, here.processor))
            found = Imported.today(device=device, tool=f"distilgrid {__version__}", measurements=measurements)
            write_import(out, found)


def _check(exports: Sequence[Exported], here: LocalDevice) -> None:
    """Refuse arguments that would fail in the middle."""
    most = max(here.threads)
    if most > usable_cores():
        raise UserError(f"--threads: {most}, but this process may use {usable_cores()} cores")
    seen: dict[tuple[str, str], Path] = {}
    for export in exports:
        other = seen.setdefault((export.model, export.runtime), export.folder)
        if other != export.folder:
            raise UserError(f"{export.folder}: the same model and runtime as {other}; give one of them")
        open_runtime(export.runtime)


def _measure(exports: Sequence[Exported], protocol: Benchmark, how: RunOptions) -> list[Measurement]:
    entries = [_ExportEntry(export, _loaded(export, how)) for export in exports]
    lengths = dict.fromkeys(length for export in exports for length in export.inputs.lengths(protocol.lengths))
    for batch_size, length in product(dict.fromkeys(protocol.batch_sizes), lengths):
        asked = [entry for entry in entries if length in entry.export.inputs.lengths(protocol.lengths)]
        _measure_shape(asked, protocol, batch_size=batch_size, length=length)
    return [
        Measurement.of(entry.found, model=entry.export.model, runtime=entry.export.runtime, threads=how.threads)
        for entry in entries
    ]


def _loaded(export: Exported, how: RunOptions) -> Session | str:
    """The loaded export, or the reason why it cannot run."""
    try:
        with refusing():
            return open_runtime(export.runtime)(export.folder, how)
    except UnsupportedError as reason:
        return str(reason)


def _measure_shape(entries: Sequence[_ExportEntry], protocol: Benchmark, *, batch_size: int, length: int) -> None:
    """Time exports at one shape and add the times to their entries."""
    from distilgrid.benchmark.protocol import BURST, measure, repeated

    ready, works, shape = [], [], {"batch_size": batch_size, "length": length}
    for entry in entries:
        try:
            call = _call(entry, **shape)
        except UnsupportedError as reason:
            entry.found.append(Skipped.because(reason, **shape))
            continue
        ready.append(entry)
        works.append(repeated(call))
    label = f"latency at batch {batch_size}, length {length}"
    try:
        with refusing():
            found = measure(works, protocol=protocol, label=label)
    except UnsupportedError as reason:
        for entry in ready:
            entry.found.append(Skipped.because(f"one of the models that took turns {reason}", **shape))
        return
    for entry, series in zip(ready, found, strict=True):
        samples = [round(sample, 5) for sample in series.samples]
        entry.found.append(Times(**shape, samples_ms=samples, turn=BURST))


def _call(entry: _ExportEntry, *, batch_size: int, length: int) -> Callable[[], object]:
    """A call of the model that has run once; UnsupportedError if it does not load or run."""
    if isinstance(entry.session, str):
        raise UnsupportedError(entry.session)
    with refusing():
        call = entry.session.bind(entry.export.inputs.make(batch_size, length))
        call()
    return call


def _arguments() -> argparse.ArgumentParser:
    about = "Measure exported models on this device, and write a JSON file for another machine to import."
    parser = argparse.ArgumentParser(prog="python -m distilgrid.devices.measure", description=about)
    parser.add_argument("exports", nargs="+", type=Path, metavar="EXPORT", help="folders of accepted exports")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--name", required=True, help="what people call this device: Raspberry Pi 5")
    parser.add_argument("--phone", action="store_true", help="this is a phone or tablet")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--cores", nargs="+", type=int, help="numbers of the cores to use; default: the last ones")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1])
    parser.add_argument("--lengths", nargs="+", type=int, default=[32, 128], help="in tokens")
    parser.add_argument("--repetitions", type=int, default=50, help="least number of timed runs")
    parser.add_argument("--max-repetitions", type=int, default=400, help="most timed runs")
    return parser


def _checked(model: type[Checked], values: dict[str, Any]) -> Checked:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        key, colon, problem = first_problem(error, model.model_json_schema()).partition(":")
        raise UserError(f"--{key.replace('_', '-')}{colon}{problem}") from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write; UserError for wrong arguments, too few cores, equal exports or missing packages."""
    given = _arguments().parse_args(arguments)
    fields = ("batch_sizes", "lengths", "repetitions", "max_repetitions", "cores")
    protocol = _checked(Benchmark, {name: getattr(given, name) for name in fields})
    here = _checked(LocalDevice, {"threads": given.threads})
    exports = [open_exported(folder) for folder in given.exports]
    check_writable(given.out, option="--out")
    about = {"name": given.name, "phone": given.phone, "processor": here.processor, **describe_machine()}
    device = _checked(Description, about)
    _check(exports, here)
    _measure_all(exports, protocol, here, device, given.out)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.stderr.write(f"distilgrid: {error}\n")
        sys.exit(2)
