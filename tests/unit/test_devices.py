"""Devices: their files, and the words for them in tables."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distilgrid.benchmark.labels import device_label, low_precision, phone_note, precision_of
from distilgrid.core.errors import UserError
from distilgrid.devices.android.settings import AdbDevice
from distilgrid.devices.settings import ImportDevice, LocalDevice, device_names, load_device, parse_device
from distilgrid.runtimes import registry

ROOT = Path(__file__).parents[2]
EPYC = {"cpu": "AMD EPYC 7B13 64-Core Processor", "cores": 2, "flags": ["avx2"], "system": "Linux x86_64"}
PI = {"name": "Raspberry Pi 5", "cpu": "Cortex-A76", "cores": 4, "flags": ["asimd"], "system": "Linux aarch64"}


@pytest.fixture
def phones_only(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a runtime that is made for phones."""
    entry = replace(registry.RUNTIMES["onnxruntime-fp32"], mobile=True)
    monkeypatch.setitem(registry.RUNTIMES, "litert-test-fp32", entry)
    return "litert-test-fp32"


# Files.


def test_every_shipped_device_is_valid() -> None:
    shipped = {name: load_device(name, folder=ROOT / "devices") for name in device_names(ROOT / "devices")}
    assert shipped["local-cpu"] == LocalDevice(threads=[1])
    assert shipped["local-cpu-2"] == LocalDevice(threads=[1, 2])
    assert shipped["local-cuda"] == LocalDevice(processor="cuda")
    assert isinstance(shipped["android"], AdbDevice)


def test_the_usual_device_needs_no_file(tmp_path: Path) -> None:
    assert load_device("local-cpu", folder=tmp_path) == LocalDevice()
    (tmp_path / "local-cpu.yaml").write_text("kind: local\nthreads: [3]\n")
    assert load_device("local-cpu", folder=tmp_path) == LocalDevice(threads=[3])


def test_unknown_device_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "pixel-8.yaml").write_text("kind: import\nfile: pixel.json\n")
    assert load_device("pixel-8", folder=tmp_path) == ImportDevice(kind="import", file="pixel.json")
    with pytest.raises(UserError, match=r"no device 'pixel8' in .*; did you mean 'pixel-8'\?"):
        load_device("pixel8", folder=tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "x.yaml: says no kind; add one of: kind: local, kind: adb, kind: import"),
        ({"kind": "lokal"}, "x.yaml: kind: unknown kind 'lokal'; did you mean 'local'?"),
        ({"kind": "local", "thread": [1]}, "x.yaml: thread: unknown key; did you mean 'threads'?"),
        ({"kind": "local", "threads": [0]}, "x.yaml: threads.0: Input should be greater than or equal to 1 (found 0)"),
        ({"kind": "local", "threads": [2, 2]}, "x.yaml: threads: must list each value once, found [2, 2]"),
        ({"kind": "adb"}, "x.yaml: binaries: Field required"),
        ({"kind": "adb", "binaries": {}}, "x.yaml: binaries: name at least one program"),
        ({"kind": "adb", "binaries": {"litrt": "x"}}, "x.yaml: binaries.litrt: unknown key; did you mean 'litert'?"),
        ({"kind": "import"}, "x.yaml: file: Field required"),
    ],
)
def test_bad_settings_end_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_device(values, origin="x.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["/", "/data/local/tmp", "/data/local/tmp/..", "/sdcard/x", "/data/local/tmp/a b"])
def test_a_phone_folder_that_must_not_be_deleted_is_refused(folder: str) -> None:
    with pytest.raises(UserError, match="folder: must be a plain folder below /data/local/tmp"):
        parse_device({"kind": "adb", "binaries": {"litert": "x"}, "folder": folder}, origin="x.yaml")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("kind: [")
    with pytest.raises(UserError, match=r"odd\.yaml: not valid YAML"):
        load_device("odd", folder=tmp_path)


# Words.


def test_labels_name_the_place_and_the_threads() -> None:
    assert device_label(EPYC, threads=1) == "AMD EPYC 7B13, 1 thread"
    xeon = {"cpu": "Intel(R) Xeon(R) CPU @ 2.20GHz"}
    assert device_label(xeon, threads=2) == "Intel Xeon, 2 threads"
    gpu = {**EPYC, "gpu": "NVIDIA H200"}
    assert device_label(gpu, threads=1, processor="cuda") == "NVIDIA H200"
    assert device_label(PI, threads=4, kind="import") == "Raspberry Pi 5 (imported), 4 threads"


def test_a_runtime_for_phones_is_never_labelled_as_a_phone_elsewhere(phones_only: str) -> None:
    assert phone_note(EPYC, runtime=phones_only) == "host CPU, not a phone"
    assert phone_note(PI, runtime=phones_only, kind="import") == "not a phone"
    emulator = {"name": "sdk_gphone64", "phone": False}
    assert phone_note(emulator, runtime=phones_only, kind="adb") == "not a phone"
    assert phone_note({"name": "Pixel 8", "phone": True}, runtime=phones_only, kind="adb") == ""
    assert phone_note({**EPYC, "phone": True}, runtime=phones_only) == "host CPU, not a phone"
    assert phone_note(EPYC, runtime="onnxruntime-int8") == ""


def test_an_unknown_runtime_may_be_made_for_phones() -> None:
    assert phone_note(PI, runtime="ncnn-fp16", kind="import") == "not a phone"


def test_features_for_low_precision_are_named_absent_or_unknown() -> None:
    assert low_precision({"flags": ["avx512_vnni", "amx_int8"]}) == "features for low precision: avx512_vnni, amx_int8"
    assert low_precision({"flags": []}) == "features for low precision: none"
    assert low_precision({}) == "features for low precision: unknown"


def test_precision_is_in_a_runtimes_name() -> None:
    found = [precision_of(name) for name in ("onnxruntime-int8-static", "torch-eager-fp32", "executorch-xnnpack-fp16")]
    assert found == ["int8", "fp32", "fp16"]


def test_devices_are_light_to_import() -> None:
    names = [f"devices.{name}" for name in ("settings", "imported", "joined")]
    names += [f"devices.android.{name}" for name in ("adb", "programs", "declared", "phone")]
    names += ["benchmark.labels", "benchmark.inputs"]
    script = (
        f"import sys, {', '.join(f'distilgrid.{name}' for name in names)}\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pandas', 'transformers'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
