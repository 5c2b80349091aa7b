"""Measurement of exports on an Android phone: copy files there, run, read results, delete the files."""

import contextlib
import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.devices.android.adb import Phone, find_phone
from distilgrid.devices.android.declared import Feed, Signature, declared, feed
from distilgrid.devices.android.programs import (
    UNKNOWN_FLAG,
    executorch_command,
    executorch_times,
    last_words,
    litert_command,
    litert_times,
)
from distilgrid.devices.android.settings import AdbDevice, Engine
from distilgrid.devices.imported import Imported, Measurement, Skipped, Times
from distilgrid.runtimes.base import UnsupportedError

if TYPE_CHECKING:
    import numpy as np

    from distilgrid.benchmark.entries import ExportFolder, Model
    from distilgrid.benchmark.settings import Benchmark

FILES = {"litert": "model.tflite", "executorch": "model.pte"}
FACTS_FILE = "model.json"  # of both runtimes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A folder on the phone with one export and its program.

    Attributes:
        signatures: the ways to call the exported file.
        names: of its inputs, in order.
        affinity: the mask of the cores to use.
    """

    phone: Phone
    engine: Engine
    folder: str
    signatures: Sequence[Signature]
    names: Sequence[str]
    affinity: str | None


@dataclass(frozen=True)
class PhoneRun:
    """One run of a benchmark program."""

    inputs: "Sequence[np.ndarray]"
    batch_size: int
    length: int
    threads: int
    warmup: int
    repetitions: int


def measure_on_phone(
    device: AdbDevice, *, protocol: "Benchmark", exports: "Sequence[tuple[Model, ExportFolder]]"
) -> Imported:
    """Measure accepted exports for LiteRT and ExecuTorch on a phone, at the batch sizes and lengths of the protocol.

    Candidates do not take turns as on this machine: each run of a benchmark program loads a model again.

    Args:
        device: the phone, the programs and the threads.
        protocol: shapes, warm-up and `repetitions`.
        exports: exports with their trained models; unsuited and rejected ones are left out.

    Raises:
        UserError: without a phone, a program, a package or a suited export.
    """
    suited = [(model, export) for model, export in exports if _engine(export) and export.parity["accepted"]]
    if not suited:
        raise UserError(
            "no accepted export is for a phone; add a runtime of LiteRT or ExecuTorch to benchmark.runtimes"
        )
    programs = {engine: _program(device, engine) for engine in {_engine(export) for _, export in suited} if engine}
    phone = find_phone(device.serial)
    measurements: list[Measurement] = []
    for model, export in suited:
        engine = cast(Engine, _engine(export))
        with placed(phone, device, engine=engine, program=programs[engine], folder=export.folder) as place:
            measurements += [_measure(place, model, export, protocol, threads) for threads in device.threads]
    tool = " and ".join(sorted(program.name for program in programs.values()))
    return Imported.today(device=phone.describe(), tool=tool, measurements=measurements)


def _engine(export: "ExportFolder") -> Engine | None:
    first = export.parity["runtime"].partition("-")[0]
    return cast(Engine, first) if first in get_args(Engine) else None


def _program(device: AdbDevice, engine: Engine) -> Path:
    named = getattr(device.binaries, engine)
    if named is None:
        raise UserError(f"binaries.{engine}: missing, but an export is for it; name the program built for the phone")
    path = Path(named).expanduser()
    if not path.is_file():
        raise UserError(f"binaries.{engine}: no file '{path}'; docs/devices.md says how to build it")
    return path


@contextlib.contextmanager
def placed(phone: Phone, device: AdbDevice, *, engine: Engine, program: Path, folder: Path) -> Iterator[Place]:
    """Put a program and an exported model into a new folder on the phone; delete the folder afterwards."""
    signatures, names = declared(engine, folder / FILES[engine]), read_json(folder / FACTS_FILE)["inputs"]
    target = f"{device.folder}/{uuid.uuid4().hex[:12]}"
    phone.checked(["mkdir", "-p", target])
    try:
        phone.push(program, f"{target}/program")
        phone.push(folder / FILES[engine], f"{target}/{FILES[engine]}")
        phone.checked(["chmod", "755", f"{target}/program"])
        yield Place(phone, engine, target, signatures, names, device.affinity)
    finally:
        for words in (["rm", "-rf", target], ["rmdir", device.folder]):  # the latter fails while others use it
            with contextlib.suppress(UserError):
                phone.shell(words)


def _measure(place: Place, model: "Model", export: "ExportFolder", protocol: "Benchmark", threads: int) -> Measurement:
    shapes: list[Times] = []
    skipped: list[Skipped] = []
    for batch_size, length in dict.fromkeys(product(protocol.batch_sizes, model.reads.lengths(protocol.lengths))):
        log.info("%s on the phone: batch %d, length %d, threads %d", place.engine, batch_size, length, threads)
        inputs = model.reads.make(batch_size, length)
        work = PhoneRun(
            [inputs[name] for name in place.names], batch_size, length, threads, protocol.warmup, protocol.repetitions
        )
        try:
            shapes.append(run(place, work))
        except UnsupportedError as reason:
            skipped.append(Skipped.because(str(reason), batch_size=batch_size, length=length))
    runtime = export.parity["runtime"]
    return Measurement.of(model=model.run["key"], runtime=runtime, threads=threads, shapes=shapes, skipped=skipped)


def run(place: Place, work: PhoneRun) -> Times:
    """Run the benchmark program on the phone once.

    Raises:
        UnsupportedError: when the file refuses such inputs, or the program fails with them.
        UserError: when the phone is gone.
    """
    wanted = feed(place.signatures, work.inputs)
    files = _push_inputs(place, wanted)
    build = litert_command if place.engine == "litert" else executorch_command
    command = build(
        program=f"{place.folder}/program",
        model=f"{place.folder}/{FILES[place.engine]}",
        feed=wanted,
        files=files,
        threads=work.threads,
        warmup=work.warmup,
        repetitions=work.repetitions,
    )
    output = _output(place, [*(["taskset", place.affinity] if place.affinity else []), *command])
    at = {"batch_size": work.batch_size, "length": work.length}
    if place.engine == "litert":
        return litert_times(output, **at)
    return executorch_times(output, **at, warmup=work.warmup, repetitions=work.repetitions)


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
    since = place.phone.clock() if logged else ""
    done = place.phone.shell(command)
    output = done.output
    if logged and "Iteration " not in output:
        output += place.phone.log_since(since)
    if done.code and UNKNOWN_FLAG not in output:
        raise UnsupportedError(f"the benchmark program failed (exit code {done.code}): {last_words(output)}")
    return output
