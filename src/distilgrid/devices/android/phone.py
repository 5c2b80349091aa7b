"""Measurement of exports on an Android phone: copy files there, run, read results, delete the files."""

import contextlib
import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.devices.android.adb import Phone, find_phone
from distilgrid.devices.android.declared import Feed, Signature, declared, feed
from distilgrid.devices.android.programs import PROGRAMS, UNKNOWN_FLAG, last_words
from distilgrid.devices.android.settings import AdbDevice
from distilgrid.devices.imported import Imported, Measurement, Skipped, Times
from distilgrid.runtimes.base import UnsupportedError

if TYPE_CHECKING:
    import numpy as np

    from distilgrid.benchmark.entries import ExportFolder, Model
    from distilgrid.benchmark.settings import Benchmark

FACTS_FILE = "model.json"  # of both runtimes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A folder on the phone with one export and its program."""

    phone: Phone
    engine: str
    folder: str
    signatures: Sequence[Signature]  # ways to call the exported file
    names: Sequence[str]  # of its inputs, in order
    affinity: str | None  # mask of the cores to use


def measure_on_phone(
    device: AdbDevice, *, protocol: "Benchmark", exports: "Sequence[tuple[Model, ExportFolder]]"
) -> Imported:
    """Measure accepted exports for LiteRT and ExecuTorch on a phone, at the batch sizes and lengths of the protocol.

    Entries do not take turns as on this machine: each run of a benchmark program loads a model again.

    Args:
        device: the phone, the programs and the threads.
        protocol: shapes, warm-up and `repetitions`.
        exports: exports with their trained models; unsuited and rejected ones are left out.

    Raises:
        UserError: without a phone, a program, a package or a suited export.
    """
    suited = [(model, export) for model, export in exports if _engine(export) in PROGRAMS and export.parity["accepted"]]
    if not suited:
        raise UserError(
            "no accepted export is for a phone; add a runtime of LiteRT or ExecuTorch to benchmark.runtimes"
        )
    programs = {engine: _program(device, engine) for engine in {_engine(export) for _, export in suited}}
    phone = find_phone(device.serial)
    measurements: list[Measurement] = []
    for model, export in suited:
        engine = _engine(export)
        with placed(phone, device, engine=engine, program=programs[engine], folder=export.folder) as place:
            measurements += [_measure(place, model, export, protocol, threads) for threads in device.threads]
    tool = " and ".join(sorted(program.name for program in programs.values()))
    return Imported.today(device=phone.describe(), tool=tool, measurements=measurements)


def _engine(export: "ExportFolder") -> str:
    return str(export.parity["runtime"]).partition("-")[0]


def _program(device: AdbDevice, engine: str) -> Path:
    named = getattr(device.binaries, engine)
    if named is None:
        raise UserError(f"binaries.{engine}: missing, but an export is for it; name the program built for the phone")
    path = Path(named).expanduser()
    if not path.is_file():
        raise UserError(f"binaries.{engine}: no file '{path}'; docs/devices.md says how to build it")
    return path


@contextlib.contextmanager
def placed(phone: Phone, device: AdbDevice, *, engine: str, program: Path, folder: Path) -> Iterator[Place]:
    """Put a program and an exported model into a new folder on the phone; delete the folder afterwards."""
    model = folder / PROGRAMS[engine].file
    signatures, names = declared(engine, model), read_json(folder / FACTS_FILE)["inputs"]
    target = f"{device.folder}/{uuid.uuid4().hex[:12]}"
    phone.checked(["mkdir", "-p", target])
    try:
        phone.push(program, f"{target}/program")
        phone.push(model, f"{target}/{model.name}")
        phone.checked(["chmod", "755", f"{target}/program"])
        yield Place(phone, engine, target, signatures, names, device.affinity)
    finally:
        for words in (["rm", "-rf", target], ["rmdir", device.folder]):  # the latter fails while others use it
            with contextlib.suppress(UserError):
                phone.shell(words)


def _measure(place: Place, model: "Model", export: "ExportFolder", protocol: "Benchmark", threads: int) -> Measurement:
    found: list[Times | Skipped] = []
    for batch_size, length in dict.fromkeys(product(protocol.batch_sizes, model.reads.lengths(protocol.lengths))):
        log.info("%s on the phone: batch %d, length %d, threads %d", place.engine, batch_size, length, threads)
        inputs, at = model.reads.make(batch_size, length), {"batch_size": batch_size, "length": length}
        try:
            found.append(run(place, [inputs[name] for name in place.names], protocol, threads=threads, at=at))
        except UnsupportedError as reason:
            found.append(Skipped.because(reason, **at))
    return Measurement.of(found, model=model.run["key"], runtime=export.parity["runtime"], threads=threads)


def run(
    place: Place, inputs: "Sequence[np.ndarray]", protocol: "Benchmark", *, threads: int, at: dict[str, int]
) -> Times:
    """Run the benchmark program on the phone once, on inputs of the batch size and the length `at`.

    Raises:
        UnsupportedError: when the file refuses such inputs, or the program fails with them.
        UserError: when the phone is gone.
    """
    wanted, counts = feed(place.signatures, inputs), {"warmup": protocol.warmup, "repetitions": protocol.repetitions}
    engine = PROGRAMS[place.engine]
    command = engine.command(
        program=f"{place.folder}/program",
        model=f"{place.folder}/{engine.file}",
        feed=wanted,
        files=_push_inputs(place, wanted),
        threads=threads,
        **counts,
    )
    output = _output(place, [*(["taskset", place.affinity] if place.affinity else []), *command])
    return engine.times(output, **at, **counts)


def _push_inputs(place: Place, wanted: Feed) -> list[str]:
    files = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, content in enumerate(wanted.contents):
            local = Path(scratch) / f"input_{number}.bin"
            local.write_bytes(content)
            place.phone.push(local, f"{place.folder}/{local.name}")
            files.append(f"{place.folder}/{local.name}")
    return files


def _output(place: Place, command: Sequence[str]) -> str:
    """Output of the program: on the terminal, or in the phone's log for ExecuTorch's builds for Android."""
    logged = place.engine == "executorch"
    since = place.phone.checked(["date", "+%m-%d %H:%M:%S.000"]).strip() if logged else ""
    done = place.phone.shell(command)
    output = done.stdout
    if logged and "Iteration " not in output:
        output += place.phone.checked(["logcat", "-t", since, "-v", "raw", "-s", "ExecuTorch:I"])
    if done.returncode and UNKNOWN_FLAG not in output:
        raise UnsupportedError(f"the benchmark program failed (exit code {done.returncode}): {last_words(output)}")
    return output
