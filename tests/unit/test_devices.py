"""Devices: their files, the words for them in tables, and measurements that were made elsewhere."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilgrid.artefacts import write_json, writing
from distilgrid.benchmark.candidates import Export, Model
from distilgrid.devices import measure as measure_module
from distilgrid.devices.files import device_names, load_device, parse_device
from distilgrid.devices.imported import Imported, read_import, schema_text, write_import
from distilgrid.devices.inputs import ImageInputs, TextInputs, describe_inputs, read_inputs
from distilgrid.devices.joined import as_benchmark
from distilgrid.devices.labels import device_label, precision_of
from distilgrid.devices.measure import main as measure_main
from distilgrid.devices.settings import AdbDevice, ImportDevice, LocalDevice
from distilgrid.errors import UserError
from distilgrid.runtimes import registry
from distilgrid.runtimes.base import PIXELS

ROOT = Path(__file__).parents[2]
KEY, OTHER, DIGEST = "0123456789ab", "ba9876543210", "5" * 64
EPYC = {"cpu": "AMD EPYC 7B13 64-Core Processor", "cores": 2, "flags": ["avx2"], "system": "Linux x86_64"}
PI = {"name": "Raspberry Pi 5", "cpu": "Cortex-A76", "cores": 4, "flags": ["asimd"], "system": "Linux aarch64"}
CONFIG = {"vocab_size": 50, "pad_token_id": 3, "max_position_embeddings": 64}
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def drop(**changes: Any) -> dict[str, Any]:
    """Measurements as somebody sends them."""
    measured = {"model": KEY, "runtime": "onnxruntime-int8", "precision": "int8", "threads": 4}
    shapes = [{"batch_size": 1, "length": 32, "samples_ms": [2.0, 2.5, 2.1, 2.2, 2.3, 2.0, 2.1]}]
    whole = {"format": 1, "device": PI, "tool": "distilgrid 0.1.0", "date": "2026-01-31"}
    return {**whole, "measurements": [{**measured, "shapes": shapes}], **changes}


def model(key: str = KEY, *, config: dict[str, Any] | None = None) -> Model:
    """A trained model, without its weights."""
    run = {"key": key, "labels": {"student": f"student-{key[:2]}", "method": "kd"}, "files": {"model.safetensors": "a"}}
    found = Model(Path("nowhere"), run, {"parameters": 7, "size_bytes": 28}, config or CONFIG)
    found.__dict__["input_names"] = NAMES  # known without a tokeniser
    return found


def export(key: str = KEY, runtime: str = "onnxruntime-int8") -> Export:
    run = {"recipe": {"inputs": {"model": key}}, "files": {"model.onnx": DIGEST, "tokenizer.json": "6" * 64}}
    return Export(Path("nowhere"), run, {"runtime": runtime, "accepted": True, "size_bytes": 11})


def joined(values: dict[str, Any], **given: Any) -> dict[str, Any]:
    found = Imported.model_validate(values)
    return as_benchmark(
        found, **{"device": "pi", "max_drift": 0.05, "models": [model()], "exports": [export()], **given}
    )


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
    assert device_label(EPYC, threads=1, runtime="onnxruntime-int8") == "AMD EPYC 7B13, 1 thread"
    xeon = {"cpu": "Intel(R) Xeon(R) CPU @ 2.20GHz"}
    assert device_label(xeon, threads=2, runtime=None) == "Intel Xeon, 2 threads"
    gpu = {**EPYC, "gpu": "NVIDIA H200"}
    assert device_label(gpu, threads=1, runtime="torch-eager-fp32", processor="cuda") == "NVIDIA H200"
    assert (
        device_label(PI, threads=4, runtime="onnxruntime-int8", kind="import") == "Raspberry Pi 5 (imported), 4 threads"
    )


def test_a_runtime_for_phones_is_never_labelled_as_a_phone_elsewhere(phones_only: str) -> None:
    host = device_label(EPYC, threads=1, runtime=phones_only)
    assert host == "AMD EPYC 7B13, 1 thread, host CPU, not a phone"
    assert device_label(PI, threads=4, runtime=phones_only, kind="import").endswith("4 threads, not a phone")
    emulator = {"name": "sdk_gphone64", "phone": False}
    assert device_label(emulator, threads=1, runtime=phones_only, kind="adb") == (
        "sdk_gphone64 (adb), 1 thread, not a phone"
    )
    pixel = {"name": "Pixel 8", "phone": True}
    assert device_label(pixel, threads=4, runtime=phones_only, kind="adb") == "Pixel 8 (adb), 4 threads"
    claimed = {**EPYC, "phone": True}
    assert device_label(claimed, threads=1, runtime=phones_only).endswith("not a phone")


def test_an_unknown_runtime_may_be_made_for_phones() -> None:
    assert device_label(PI, threads=1, runtime="ncnn-fp16", kind="import").endswith("not a phone")


def test_precision_is_in_a_runtimes_name() -> None:
    found = [precision_of(name) for name in ("onnxruntime-int8-static", "torch-eager-fp32", "executorch-xnnpack-fp16")]
    assert found == ["int8", "fp32", "fp16"]


# The import format.


def test_schema_file_is_current() -> None:
    stored = (ROOT / "workflow/schemas/imported_benchmark.schema.json").read_text(encoding="utf-8")
    assert stored == schema_text()


def test_schema_agrees_with_the_reader() -> None:
    from jsonschema import Draft202012Validator

    schema = Draft202012Validator(json.loads(schema_text()))
    assert not list(schema.iter_errors(drop()))
    assert list(schema.iter_errors(drop(hostname="x")))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = Imported.model_validate(drop())
    write_import(tmp_path / "new" / "drop.json", found)
    assert read_import(tmp_path / "new" / "drop.json") == found
    assert "null" not in (tmp_path / "new" / "drop.json").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(hostname="x"), "hostname: unknown key; choose one of: date, device"),
        (lambda d: d["device"].update(user="x"), "device.user: unknown key"),
        (lambda d: d.pop("tool"), "tool: Field required"),
        (lambda d: d.update(format=2), "format: Input should be 1"),
        (lambda d: d.update(date="yesterday"), "date: "),
        (lambda d: d["device"].update(name="me@home"), "device.name: String should match pattern"),
        (lambda d: d["measurements"][0].update(model="x"), "measurements.0.model: String should match pattern"),
        (lambda d: shape(d).update(p50_ms=1.0), "measurements.0.shapes.0: give either samples_ms or percentiles"),
        (lambda d: shape(d).update(samples_ms=[1.0, 2.0]), "measurements.0.shapes.0.samples_ms: List should have at"),
        (lambda d: shape(d).update(samples_ms=[1, 2, -3]), "measurements.0.shapes.0.samples_ms.2: Input should be gre"),
        (lambda d: shape(d).update(samples_ms=[1, 2, float("nan")]), "measurements.0.shapes.0.samples_ms.2: Input"),
        (lambda d: shape(d).pop("samples_ms"), "measurements.0.shapes.0: give samples_ms, or p50_ms with n"),
        (lambda d: percentiles(d, p50_ms=2.0, p90_ms=1.0, n=9), "measurements.0.shapes.0: percentiles must not fall"),
        (lambda d: percentiles(d, p50_ms=2.0), "measurements.0.shapes.0: give samples_ms, or p50_ms with n"),
        (lambda d: shape(d).update(sample_ms=1), "measurements.0.shapes.0.sample_ms: unknown key; did you mean 'samp"),
    ],
)
def test_malformed_measurements_end_in_one_line(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    values = json.loads(json.dumps(drop()))
    change(values)
    path = tmp_path / "drop.json"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        read_import(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[1]", "must hold an object, found list")])
def test_other_files_end_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "drop.json").write_text(text)
    with pytest.raises(UserError, match=f"drop.json: {message}"):
        read_import(tmp_path / "drop.json")
    with pytest.raises(UserError, match=r"none\.json: cannot be read"):
        read_import(tmp_path / "none.json")


def shape(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = values["measurements"][0]["shapes"][0]
    return found


def percentiles(values: dict[str, Any], **given: float) -> None:
    shape(values).pop("samples_ms")
    shape(values).update(given)


# Beside our own measurements.


def test_raw_samples_become_a_candidate_like_ours() -> None:
    found = joined(drop())
    [candidate] = found["candidates"]
    assert {name: candidate[name] for name in ("name", "role", "runtime", "parameters", "size_bytes", "skipped")} == {
        "name": "student-01",
        "role": "student",
        "runtime": "onnxruntime-int8",
        "parameters": 7,
        "size_bytes": 11,
        "skipped": None,
    }
    [measured] = candidate["shapes"]
    assert (measured["kind"], measured["threads"], measured["batch_size"], measured["length"]) == ("shape", 4, 1, 32)
    samples = shape(drop())["samples_ms"]
    assert measured["samples_ms"] == samples
    assert measured["n"] == len(samples)
    assert measured["p50_ms"] == pytest.approx(np.median(samples))
    assert measured["p90_ms"] == pytest.approx(np.percentile(samples, 90))
    assert measured["width"] is None  # runs in a row bound no median
    assert found["machine"]["name"] == "Raspberry Pi 5"
    assert found["device"] == "pi"


def test_turns_tell_how_well_a_median_is_known() -> None:
    values = drop()
    shape(values).update(samples_ms=[1.0 + 0.001 * n for n in range(60)], turn=5)
    [measured] = joined(values)["candidates"][0]["shapes"]
    assert measured["turns"] == 12
    assert 0 < measured["width"] < 0.1
    assert measured["drift"] == pytest.approx(0.03 / 1.0295, rel=0.02)
    assert not measured["noisy"]
    assert joined(values, max_drift=0.01)["candidates"][0]["shapes"][0]["noisy"]


def test_percentiles_alone_leave_the_rest_unknown() -> None:
    values = drop()
    percentiles(values, p50_ms=2.0, p95_ms=3.0, n=40)
    [measured] = joined(values)["candidates"][0]["shapes"]
    assert (measured["n"], measured["p50_ms"], measured["p95_ms"]) == (40, 2.0, 3.0)
    assert measured["samples_ms"] == []
    unknown = ("p90_ms", "p99_ms", "width", "drift", "turns", "noisy", "attempts", "energy_mj")
    assert [measured[name] for name in unknown] == [None] * len(unknown)


@pytest.mark.parametrize("named", [KEY, DIGEST])
def test_models_are_named_by_key_or_by_the_digest_of_a_file(named: str) -> None:
    values = drop()
    values["measurements"][0]["model"] = named
    assert joined(values)["candidates"][0]["name"] == "student-01"


def test_threads_of_one_model_and_runtime_are_one_candidate() -> None:
    values = drop()
    values["measurements"].append({**values["measurements"][0], "threads": 1})
    [candidate] = joined(values)["candidates"]
    assert [measured["threads"] for measured in candidate["shapes"]] == [4, 1]


def test_other_models_are_left_out_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    values = drop()
    values["measurements"].append({**values["measurements"][0], "model": OTHER})
    assert len(joined(values)["candidates"]) == 1
    assert f"left out 1 measurements of other models, the first of {OTHER}" in caplog.text
    with pytest.raises(UserError, match=f"pi: model {KEY} is none of these models"):
        joined(drop(), models=[model(OTHER)])


def test_a_candidate_without_any_shape_is_skipped_with_the_reason() -> None:
    values = drop()
    reason = {"batch_size": 1, "length": 32, "reason": "out of memory"}
    values["measurements"][0].update(shapes=[], skipped_shapes=[reason])
    [candidate] = joined(values)["candidates"]
    assert candidate["skipped"] == "out of memory"
    assert candidate["skipped_shapes"] == [{**reason, "kind": "shape", "threads": 4}]


def test_an_engine_of_their_own_is_shown_with_its_precision() -> None:
    values = drop()
    values["measurements"][0].update(runtime="ncnn", precision="fp16")
    assert joined(values)["candidates"][0]["runtime"] == "ncnn-fp16"


# Inputs of exports, and measuring them without the trained model.


@pytest.mark.parametrize("image", [False, True])
def test_inputs_are_those_of_our_own_benchmark(image: bool, tmp_path: Path) -> None:
    config = {"image_size": [4, 6], "num_channels": 3} if image else CONFIG
    names = [PIXELS] if image else NAMES
    write_json(tmp_path / "parity.json", {"inputs": describe_inputs(config, names)})
    found = read_inputs(tmp_path)
    assert isinstance(found, ImageInputs if image else TextInputs)
    ours = model(config=config)
    assert list(found.lengths([8, 16])) == list(ours.lengths([8, 16]))
    made, wanted = found.make(2, 8), ours.inputs(2, 8)
    assert list(made) == list(wanted)
    assert all(np.array_equal(made[name], wanted[name]) and made[name].dtype == wanted[name].dtype for name in wanted)
    assert all(made[name].strides == wanted[name].strides for name in wanted)


def test_an_export_that_does_not_say_its_inputs_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "parity.json", {"runtime": "onnxruntime-fp32"})
    with pytest.raises(UserError, match=r"parity\.json: says no inputs.*export the model again"):
        read_inputs(tmp_path)
    write_json(tmp_path / "parity.json", {"inputs": {"names": ["input_ids"], "vocab": 5}})
    with pytest.raises(UserError, match=r"parity\.json: inputs\.vocab: unknown key; did you mean 'vocab_size'"):
        read_inputs(tmp_path)


def write_export(folder: Path, *, accepted: bool = True, longest: int = 64) -> Path:
    """An export whose logits are sums of token ids, and that fails for more than `longest` tokens."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes = [
        helper.make_node("Gather", ["positions", "input_ids"], ["ids"]),
        helper.make_node("ReduceSum", ["ids", "axis"], ["logits"], keepdims=1),
    ]
    constants = [
        numpy_helper.from_array(np.arange(longest, dtype=np.float32), "positions"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"),
    ]
    given = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "sum", [given], [logits], constants)
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(onnx_model)
    parity = {"runtime": "onnxruntime-fp32", "accepted": accepted, "reason": "too far off", "size_bytes": 1}
    with writing(folder, recipe={"stage": "export", "inputs": {"model": KEY}}, labels={}) as scratch:
        save(onnx_model, scratch / "model.onnx")
        write_json(scratch / "parity.json", {**parity, "inputs": describe_inputs({"vocab_size": 50}, ["input_ids"])})
    return folder


QUICK = ["--name", "Raspberry Pi 5", "--lengths", "8", "16", "--repetitions", "6", "--max-repetitions", "6"]


def test_exports_are_measured_side_by_side_and_join_ours(tmp_path: Path) -> None:
    folders = [write_export(tmp_path / name) for name in ("a", "b")]
    out = tmp_path / "out" / "drop.json"
    measure_main([*map(str, folders), "--out", str(out), "--batch-sizes", "1", "2", *QUICK])
    found = read_import(out)
    assert found.device.name == "Raspberry Pi 5"
    assert not found.device.phone
    assert [m.model for m in found.measurements] == [KEY] * 2
    for measurement in found.measurements:
        assert (measurement.runtime, measurement.precision, measurement.threads) == ("onnxruntime-fp32", "fp32", 1)
        assert [(s.batch_size, s.length) for s in measurement.shapes] == [(1, 8), (1, 16), (2, 8), (2, 16)]
        assert all(s.samples_ms is not None and len(s.samples_ms) == 10 and s.turn == 5 for s in measurement.shapes)
    candidates = as_benchmark(found, device="pi", max_drift=0.05, models=[model()])["candidates"]
    assert [len(candidate["shapes"]) for candidate in candidates] == [8]


def test_inputs_that_a_model_cannot_take_are_skipped_with_the_reason(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "short", longest=10)  # ids up to 49 are out of its range
    out = tmp_path / "drop.json"
    measure_main([str(folder), "--out", str(out), *QUICK])
    [measurement] = read_import(out).measurements
    assert measurement.shapes == []
    assert [skipped.length for skipped in measurement.skipped_shapes] == [8, 16]
    assert measurement.skipped_shapes[0].reason.startswith("does not run: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "100000"], "--threads: 100000, but this process may use"),
        (["--lengths", "1000"], "--lengths.0: Input should be less than or equal to 512"),
        (["--name", "me@home"], "--name: String should match pattern"),
    ],
)
def test_wrong_options_end_in_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "a")
    with pytest.raises(UserError, match=message):
        measure_main([str(folder), "--out", str(tmp_path / "drop.json"), *QUICK, *options])


def test_a_rejected_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this export was rejected: too far off"):
        measure_module.open_exported(write_export(tmp_path / "a", accepted=False))


def test_measuring_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    folder, out = write_export(tmp_path / "a"), tmp_path / "drop.json"
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'transformers', 'pandas', 'tokenizers', 'sklearn'):\n"
        "            raise ModuleNotFoundError(f'no {name} here')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from distilgrid.devices.measure import main\n"
        f"main({[str(folder), '--out', str(out), *QUICK]!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_import(out).measurements[0].shapes


def test_devices_are_light_to_import() -> None:
    names = ("settings", "files", "labels", "imported", "joined", "inputs", "adb", "programs", "declared", "phone")
    script = (
        f"import sys, {', '.join(f'distilgrid.devices.{name}' for name in names)}\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pandas', 'transformers'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_documented_file_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs/devices.md").read_text(encoding="utf-8")
    start = text.index('    {"format": 1')
    path = tmp_path / "drop.json"
    path.write_text(text[start : text.index("\n\n", start)])
    assert len(read_import(path).measurements[0].shapes) == 2
