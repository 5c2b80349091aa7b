"""Android phones through adb: a dry run against a program of that name that plays adb and a phone."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distilgrid.benchmark.entries import ExportFolder, Model
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.errors import UserError
from distilgrid.devices.android import adb
from distilgrid.devices.android import phone as phone_module
from distilgrid.devices.android.adb import connected, find_phone
from distilgrid.devices.android.declared import DeclaredInput, Signature
from distilgrid.devices.android.phone import measure_on_phone
from distilgrid.devices.android.settings import AdbDevice
from distilgrid.devices.imported import Imported

pytestmark = pytest.mark.chain

KEY, SERIAL = "0123456789ab", "0A041FDD4003BK"
NAMES = ("input_ids", "attention_mask", "token_type_ids")
LITERT = [Signature("length_16", (DeclaredInput((1, 16), "int32"),) * 3)]
EXECUTORCH = [Signature("forward", (DeclaredInput((1, 16), "int64"),) * 3, bounds=True)]
ORDER = ["input_ids", "token_type_ids", "attention_mask"]
"""Of the inputs in the exported files, which is not that of the tokeniser."""

FAKE = '''#!{python} -IS
"""Plays adb and a phone: files lie under a folder, `state.json` beside it says how things go."""
import json, pathlib, shlex, shutil, sys

home = pathlib.Path({home!r})
state = json.loads((home / "state.json").read_text())
arguments = sys.argv[1:]
with open(home / "calls.jsonl", "a") as log:
    log.write(json.dumps(arguments) + "\\n")


def there(path):
    return home / "phone" / path.lstrip("/")


def options(words):
    return dict(word[2:].split("=", 1) for word in words if word.startswith("--"))


def benchmark_model(words):
    given = options(words)
    shapes = [[int(size) for size in shape.split(",")] for shape in given["input_layer_shape"].split(":")]
    files = [item.split(":")[1] for item in given["input_layer_value_files"].split(",")]
    for shape, file in zip(shapes, files, strict=True):
        size, wanted = there(file).stat().st_size, 4 * shape[0] * shape[1]
        if size != wanted:
            print(f"FATAL: The size of {{file}} is {{size}} bytes. It should be {{wanted}} bytes.", file=sys.stderr)
            return 134
    assert there(given["graph"]).read_text() == "tflite"
    mask = there(files[2]).read_bytes()  # its place in the exported file
    assert set(mask[::4]) <= {{0, 1}} and mask[0] == 1, "the mask is not where the file has it"
    print("INFO: STARTING!")
    print(f"INFO: count={{given['warmup_runs']}} first=9000 curr=7000 min=7000 max=9000 avg=8000 std=800 "
          "p5=7000 median=8000 p95=9000\\n")
    print(f"INFO: count={{given['num_runs']}} first=4100 curr=4000 min=3900 max=4400 avg=4.05e+03 std=70 "
          "p5=3950 median=4020 p95=4300\\n")
    print("INFO: Inference timings in us: Init: 9, First inference: 9000, Warmup (avg): 8000, Inference (avg): 4050")
    return 0


def executor_runner(words):
    given = options(words)
    assert all(there(file).exists() for file in given["inputs"].split(","))
    if "input_shapes" in given and not state["input_shapes"]:
        print("ERROR: unknown command line flag 'input_shapes'", file=sys.stderr)
        return 1
    total = int(given["num_executions"])
    lines = [f"Iteration {{n + 1}} of {{total}}: {{3.0 + 0.01 * n:f}} ms" for n in range(total)] + ["9 outputs:"]
    if state["logcat"]:
        with open(home / "logcat", "a") as log:
            log.write("\\n".join(lines) + "\\n")
    else:
        prefix = "I 00:00:00.001 executorch:executor_runner.cpp:680] "
        print("\\n".join(prefix + line for line in lines), file=sys.stderr)
    return 0


PROGRAMS = {{"benchmark_model": benchmark_model, "executor_runner": executor_runner}}


def shell(line):
    words = shlex.split(line)
    if words[0] == "taskset":
        words = words[2:]
    if words[0] == "mkdir":
        there(words[2]).mkdir(parents=True, exist_ok=True)
    elif words[0] == "rm":
        shutil.rmtree(there(words[2]))
    elif words[0] == "rmdir":
        there(words[1]).rmdir()
    elif words[0] == "chmod":
        there(words[2]).chmod(0o755)
    elif words[0] == "date":
        print("10-05 12:00:00.000")
    elif words[0] == "logcat":
        print("--------- beginning of main")
        if (home / "logcat").exists():
            print((home / "logcat").read_text(), end="")
    elif words[0] == "getprop":
        print("\\n".join(f"[{{key}}]: [{{value}}]" for key, value in state["properties"].items()))
    elif words[0] == "cat":
        print(state[words[1]])
    elif words[0].endswith("/program"):
        if state["fails"]:
            print("ERROR: Failed to mmap model", file=sys.stderr)
            return 1
        return PROGRAMS[there(words[0]).read_text()](words[1:])
    else:
        print(f"/system/bin/sh: {{words[0]}}: inaccessible or not found", file=sys.stderr)
        return 127
    return 0


if arguments == ["devices"]:
    print("* daemon not running; starting now at tcp:5037\\n* daemon started successfully", file=sys.stderr)
    print("List of devices attached")
    print("".join(f"{{serial}}\\t{{said}}\\n" for serial, said in state["devices"].items()))
    sys.exit(0)
serial, command, *rest = arguments[1:]
if arguments[0] != "-s" or state["devices"].get(serial) != "device":
    sys.exit(f"adb: device '{{serial}}' not found")
if command == "push":
    if state["full"]:
        sys.exit(f"adb: error: failed to copy '{{rest[0]}}' to '{{rest[1]}}': remote No space left on device")
    shutil.copyfile(rest[0], there(rest[1]))
    print(f"{{rest[0]}}: 1 file pushed, 0 skipped.")
elif command == "shell":
    sys.exit(shell(*rest))
else:
    sys.exit(f"adb: unknown command {{command}}")
'''

PROPERTIES = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 8",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
    "ro.build.version.release": "16",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.serialno": SERIAL,
}
CPUINFO = "\n".join(f"processor\t: {n}\nFeatures\t: fp asimd asimdhp asimddp sve i8mm bf16 svei8mm" for n in range(9))
STATE = {
    "devices": {SERIAL: "device"},
    "properties": PROPERTIES,
    "/proc/cpuinfo": CPUINFO,
    "/proc/meminfo": "MemTotal:        7812345 kB\nMemFree:  1 kB",
    "fails": False,
    "full": False,
    "input_shapes": False,
    "logcat": False,
}


@dataclass(frozen=True)
class Fake:
    """The fake adb: its state, the calls that it got, the phone's files."""

    home: Path

    def set(self, **changes: Any) -> None:
        (self.home / "state.json").write_text(json.dumps({**STATE, **changes}))

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.home / "calls.jsonl").read_text().splitlines()]

    @property
    def programs_run(self) -> list[str]:
        return [call[3] for call in self.calls if call[2:3] == ["shell"] and "/program --" in call[3]]

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.home / "phone").rglob("*") if path.is_file()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    home = tmp_path / "fake"
    (home / "bin").mkdir(parents=True)
    (home / "phone/data/local/tmp").mkdir(parents=True)
    program = home / "bin" / "adb"
    program.write_text(FAKE.format(python=sys.executable, home=str(home)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    found = Fake(home)
    found.set()
    return found


@pytest.fixture
def device(tmp_path: Path) -> AdbDevice:
    """A phone with both programs."""
    for name in ("benchmark_model", "executor_runner"):
        (tmp_path / name).write_text(name)
    binaries = {"litert": str(tmp_path / "benchmark_model"), "executorch": str(tmp_path / "executor_runner")}
    return AdbDevice.model_validate({"kind": "adb", "binaries": binaries, "threads": [1, 4]})


@pytest.fixture
def measured(fake: Fake, device: AdbDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Imported]:
    """Measures exports for the runtimes named, on the fake phone."""
    signatures = {"litert": LITERT, "executorch": EXECUTORCH}
    monkeypatch.setattr(phone_module, "declared", lambda engine, _: signatures[engine])

    def run(*runtimes: str, accepted: bool = True, changed: AdbDevice | None = None, **options: Any) -> Imported:
        protocol = Benchmark(**{"lengths": [16], "warmup": 2, "repetitions": 6, **options})
        run: dict[str, Any] = {"key": KEY, "labels": {"student": "small", "method": "kd"}}
        model = Model(tmp_path, run, {"parameters": 7}, {"vocab_size": 50})
        model.__dict__["input_names"] = list(NAMES)  # known without a tokeniser
        exports = []
        for runtime in runtimes:
            folder = tmp_path / runtime
            folder.mkdir(exist_ok=True)
            (folder / "model.tflite").write_text("tflite")
            (folder / "model.pte").write_text("pte")
            (folder / "model.json").write_text(json.dumps({"inputs": ORDER}))
            exports.append((model, ExportFolder(folder, {}, {"runtime": runtime, "accepted": accepted})))
        return measure_on_phone(changed or device, protocol=protocol, exports=exports)

    return run


# Finding the phone.


def test_devices_are_read_after_the_daemons_own_messages() -> None:
    rows = "abc\tdevice\nxyz\tno permissions (user in plugdev?)\n\n"
    assert connected(f"* daemon started successfully\nList of devices attached\n{rows}") == {
        "abc": "device",
        "xyz": "no permissions",
    }
    assert connected("List of devices attached\n\n") == {}


def test_the_only_phone_needs_no_serial(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_phone(None).serial == SERIAL
    fake.set(devices={SERIAL: "device", "other": "device"})
    assert find_phone("other").serial == "other"
    monkeypatch.setenv("ANDROID_SERIAL", "other")
    assert find_phone(None).serial == "other"
    assert find_phone(SERIAL).serial == SERIAL


@pytest.mark.parametrize(
    ("devices", "serial", "message"),
    [
        ({}, None, "no adb device: is the phone plugged in, USB debugging on, and this computer authorised?"),
        ({}, "abc", "no adb device 'abc'; none is connected: plugged in, USB debugging on, authorised?"),
        ({"abd": "device"}, "abc", "no adb device 'abc'; did you mean 'abd'?"),
        ({"abc": "unauthorized"}, None, "adb device abc is unauthorized: unlock it and allow this computer"),
        ({"abc": "offline"}, None, "adb device abc is offline: plug it in again"),
        ({"a": "device", "b": "device"}, None, "2 adb devices (a, b): set serial, or ANDROID_SERIAL, to one"),
    ],
)
def test_a_missing_phone_ends_in_one_line(
    devices: dict[str, str], serial: str | None, message: str, fake: Fake
) -> None:
    fake.set(devices=devices)
    with pytest.raises(UserError) as caught:
        find_phone(serial)
    assert str(caught.value).startswith(message)


def test_missing_adb_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="adb: not found; install Android's platform tools"):
        find_phone(None)


def test_a_program_that_never_ends_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "SECONDS", 0.2)
    slow = fake.home / "bin" / "adb"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    with pytest.raises(UserError, match="adb devices: still running"):
        find_phone(None)


# The dry run.


def test_a_litert_export_is_measured(measured: Callable[..., Imported], fake: Fake) -> None:
    found = measured("litert-int8")
    assert found.device.name == "Google Pixel 8"
    assert found.tool == "benchmark_model"
    assert [(m.model, m.runtime, m.precision, m.threads) for m in found.measurements] == [
        (KEY, "litert-int8", "int8", 1),
        (KEY, "litert-int8", "int8", 4),
    ]
    [times] = found.measurements[0].shapes
    assert (times.batch_size, times.length, times.n, times.p50_ms, times.p95_ms) == (1, 16, 6, 4.02, 4.3)
    assert times.samples_ms is None
    told = [word for line in fake.programs_run for word in line.split() if word.startswith("--num_threads")]
    assert told == ["--num_threads=1", "--num_threads=4"]


@pytest.mark.parametrize("logcat", [False, True])
def test_an_executorch_export_is_measured(logcat: bool, measured: Callable[..., Imported], fake: Fake) -> None:
    fake.set(logcat=logcat)
    found = measured("executorch-xnnpack-fp32")
    for measurement in found.measurements:  # the log still holds the first run when the second is read
        [times] = measurement.shapes
        assert times.samples_ms == pytest.approx([3.02, 3.03, 3.04, 3.05, 3.06, 3.07])
    assert any(call[3].startswith("logcat") for call in fake.calls if call[2:3] == ["shell"]) == logcat


def test_nothing_stays_on_the_phone(measured: Callable[..., Imported], fake: Fake) -> None:
    measured("litert-int8", "executorch-xnnpack-fp32")
    assert fake.files == []
    assert not (fake.home / "phone/data/local/tmp/distilgrid").exists()
    pushed = [call[4] for call in fake.calls if call[2:3] == ["push"]]
    removed = [call[3] for call in fake.calls if call[2:3] == ["shell"] and call[3].startswith("rm -rf")]
    assert {line.split()[2] for line in removed} == {target.rpartition("/")[0] for target in pushed}


def test_files_of_others_on_the_phone_stay(measured: Callable[..., Imported], fake: Fake) -> None:
    theirs = fake.home / "phone/data/local/tmp/distilgrid/theirs"
    theirs.parent.mkdir()
    theirs.write_text("x")
    measured("litert-int8")
    assert fake.files == [theirs]


def test_cores_are_those_asked_for(measured: Callable[..., Imported], device: AdbDevice, fake: Fake) -> None:
    measured("litert-int8", changed=device.model_copy(update={"affinity": "f0"}))
    assert all(line.startswith("taskset f0 /data/local/tmp/distilgrid/") for line in fake.programs_run)


def test_a_program_that_fails_skips_the_shape_with_its_last_words(
    measured: Callable[..., Imported], fake: Fake
) -> None:
    fake.set(fails=True)
    [first, _] = measured("litert-int8").measurements
    assert first.shapes == []
    assert first.skipped_shapes[0].reason == ("the benchmark program failed (exit code 1): ERROR: Failed to mmap model")
    assert fake.files == []


def test_shapes_that_a_file_does_not_take_are_skipped(measured: Callable[..., Imported], fake: Fake) -> None:
    [first, _] = measured("litert-int8", lengths=[16, 32]).measurements
    assert [times.length for times in first.shapes] == [16]
    assert [(s.length, s.reason) for s in first.skipped_shapes] == [(32, "not converted for inputs of shape 1x32")]


@pytest.mark.parametrize("newer", [False, True])
def test_smaller_inputs_need_a_newer_runner(newer: bool, measured: Callable[..., Imported], fake: Fake) -> None:
    fake.set(input_shapes=newer)
    [first, _] = measured("executorch-xnnpack-fp32", lengths=[8]).measurements
    assert "--input_shapes=1x8,1x8,1x8" in fake.programs_run[0]
    if newer:
        assert first.shapes[0].length == 8
    else:
        assert "need an executor_runner that has --input_shapes" in first.skipped_shapes[0].reason


def test_a_full_phone_ends_in_one_line(measured: Callable[..., Imported], fake: Fake) -> None:
    fake.set(full=True)
    with pytest.raises(UserError, match=r"^adb push .*No space left on device$"):
        measured("litert-int8")
    assert fake.calls[-1][3].startswith("rmdir")


def test_exports_that_suit_no_phone_are_left_out(measured: Callable[..., Imported], fake: Fake) -> None:
    assert {m.runtime for m in measured("onnxruntime-int8", "litert-fp32").measurements} == {"litert-fp32"}
    with pytest.raises(UserError, match="no accepted export is for a phone"):
        measured("onnxruntime-int8")
    with pytest.raises(UserError, match="no accepted export is for a phone"):
        measured("litert-fp32", accepted=False)


def test_a_missing_program_ends_in_one_line(measured: Callable[..., Imported], device: AdbDevice) -> None:
    without = device.binaries.model_copy(update={"executorch": None})
    with pytest.raises(UserError, match=r"binaries\.executorch: missing, but an export is for it"):
        measured("executorch-fp32", changed=device.model_copy(update={"binaries": without}))
    wrong = device.binaries.model_copy(update={"litert": "/nowhere/benchmark_model"})
    with pytest.raises(UserError, match=r"binaries\.litert: no file '/nowhere/benchmark_model'"):
        measured("litert-fp32", changed=device.model_copy(update={"binaries": wrong}))
