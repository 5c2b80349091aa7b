"""Measurements that were made elsewhere: their format, and beside our own."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilgrid.benchmark.entries import ExportFolder, Model
from distilgrid.core.errors import UserError
from distilgrid.devices.imported import Imported, read_import, write_import
from distilgrid.devices.joined import as_benchmark

ROOT = Path(__file__).parents[2]
KEY, OTHER, DIGEST = "0123456789ab", "ba9876543210", "5" * 64
PI = {"name": "Raspberry Pi 5", "cpu": "Cortex-A76", "cores": 4, "flags": ["asimd"], "system": "Linux aarch64"}
CONFIG = {"vocab_size": 50, "pad_token_id": 3, "max_position_embeddings": 64}
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def drop(**changes: Any) -> dict[str, Any]:
    """Measurements as somebody sends them, each time new ones."""
    measured = {"model": KEY, "runtime": "onnxruntime-int8", "precision": "int8", "threads": 4}
    shapes = [{"batch_size": 1, "length": 32, "samples_ms": [2.0, 2.5, 2.1, 2.2, 2.3, 2.0, 2.1]}]
    whole = {"format": 1, "device": dict(PI), "tool": "distilgrid 0.1.0", "date": "2026-01-31"}
    return {**whole, "measurements": [{**measured, "shapes": shapes}], **changes}


def model(key: str = KEY, *, config: dict[str, Any] | None = None) -> Model:
    """A trained model, without its weights."""
    run = {"key": key, "labels": {"student": f"student-{key[:2]}", "method": "kd"}, "files": {"model.safetensors": "a"}}
    found = Model(Path("nowhere"), run, {"parameters": 7, "size_bytes": 28}, config or CONFIG)
    found.__dict__["input_names"] = NAMES  # known without a tokeniser
    return found


def export(key: str = KEY, runtime: str = "onnxruntime-int8") -> ExportFolder:
    run = {"recipe": {"inputs": {"model": key}}, "files": {"model.onnx": DIGEST, "tokenizer.json": "6" * 64}}
    return ExportFolder(Path("nowhere"), run, {"runtime": runtime, "accepted": True, "size_bytes": 11})


def joined(values: dict[str, Any], **given: Any) -> dict[str, Any]:
    found = Imported.model_validate(values)
    return as_benchmark(
        found, **{"device": "pi", "max_drift": 0.05, "models": [model()], "exports": [export()], **given}
    )


# The import format.


def schema_text() -> str:
    """The exact text of the schema file."""
    schema = Imported.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema, indent=2) + "\n"


def test_schema_file_is_current() -> None:
    stored = (ROOT / "src/distilgrid/workflow/schemas/imported_benchmark.schema.json").read_text(encoding="utf-8")
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
        (lambda d: shape(d).update(turn=8), "measurements.0.shapes.0: turn: 8 samples in a row, but there are 7"),
        (lambda d: first(d).update(threads=True), "measurements.0.threads: Input should be a valid integer"),
        (
            lambda d: shape(d).update(samples_ms=[1, 2, "8.1"]),
            "measurements.0.shapes.0.samples_ms.2: Input should be a",
        ),
        (lambda d: d["device"].update(phone="yes"), "device.phone: Input should be a valid boolean"),
        (lambda d: d.update(date=1769817600), "date: must be a date like 2026-01-31"),
        (lambda d: d.update(date=str((datetime.now(UTC) + timedelta(days=3)).date())), "date: is in the future, today"),
        (lambda d: first(d).update(runtime="onnxruntime-fp32"), "measurements.0: precision: int8, but runtime 'onnxru"),
        (lambda d: first(d).update(runtime="ncnn-fp16"), "measurements.0: precision: int8, but runtime 'ncnn-fp16'"),
        (lambda d: d["measurements"].append(first(d)), "measurements.1: has the same model, runtime and number of"),
        (
            lambda d: d["measurements"].append({**first(d), "runtime": "onnxruntime"}),
            "measurements.1: has the same model, runtime and number of threads as measurements.0; keep one of them",
        ),
        (lambda d: first(d)["shapes"].append(shape(d)), "measurements.0: shapes.1: has the same batch size and length"),
        (
            lambda d: first(d).update(skipped_shapes=[{"batch_size": 1, "length": 32, "reason": "x"}]),
            "measurements.0: skipped_shapes.0: has the same batch size and length as shapes.0",
        ),
        (
            lambda d: first(d).update(skipped_shapes=[{"batch_size": 9, "length": 32, "reason": "a\n# b"}]),
            "measurements.0.skipped_shapes.0.reason: must hold no line breaks",
        ),
        (lambda d: d["device"].update(flags=["avx2\u2028# b"]), "device.flags.0: must hold no line breaks"),
        (lambda d: d["device"].update(cpu="a\x1b[2Jb"), "device.cpu: must hold no line breaks or other control"),
        (lambda d: d["device"].update(phone=True, system="Android 13 x86_64"), "device: phone: true, but the proc"),
        (
            lambda d: d["device"].update(phone=True, cpu="Intel Xeon"),
            "device: phone: true, but the processor is an x86",
        ),
        (lambda d: d["device"].update(phone=True, flags=["avx2"]), "device: phone: true, but the processor"),
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_followed(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "drop.json").write_text(json.dumps(drop()), encoding="utf-8")
    wanted = read_import(tmp_path / "drop.json")
    (tmp_path / "drop.json").write_text(json.dumps(drop()), encoding=encoding)
    assert read_import(tmp_path / "drop.json") == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("[1]", "must hold an object, found list"), ("[" * 200_000, "not valid here: brackets")],
)
def test_other_files_end_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "drop.json").write_text(text)
    with pytest.raises(UserError, match=f"drop.json: {message}"):
        read_import(tmp_path / "drop.json")
    with pytest.raises(UserError, match=r"none\.json: cannot be read"):
        read_import(tmp_path / "none.json")


def first(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = values["measurements"][0]
    return found


def shape(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = values["measurements"][0]["shapes"][0]
    return found


def percentiles(values: dict[str, Any], **given: float) -> None:
    shape(values).pop("samples_ms")
    shape(values).update(given)


# Beside our own measurements.


def test_raw_samples_become_a_entry_like_ours() -> None:
    found = joined(drop())
    [entry] = found["entries"]
    assert {name: entry[name] for name in ("name", "role", "runtime", "parameters", "size_bytes", "skipped")} == {
        "name": "student-01",
        "role": "student",
        "runtime": "onnxruntime-int8",
        "parameters": 7,
        "size_bytes": 11,
        "skipped": None,
    }
    [measured] = entry["shapes"]
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
    [measured] = joined(values)["entries"][0]["shapes"]
    assert measured["turns"] == 12
    assert 0 < measured["width"] < 0.1
    assert measured["drift"] == pytest.approx(0.03 / 1.0295, rel=0.02)
    assert not measured["noisy"]
    assert joined(values, max_drift=0.01)["entries"][0]["shapes"][0]["noisy"]


def test_percentiles_alone_leave_the_rest_unknown() -> None:
    values = drop()
    percentiles(values, p50_ms=2.0, p95_ms=3.0, n=40)
    [measured] = joined(values)["entries"][0]["shapes"]
    assert (measured["n"], measured["p50_ms"], measured["p95_ms"]) == (40, 2.0, 3.0)
    assert measured["samples_ms"] == []
    unknown = ("p90_ms", "p99_ms", "width", "drift", "turns", "noisy", "attempts", "energy_mj")
    assert [measured[name] for name in unknown] == [None] * len(unknown)


@pytest.mark.parametrize("named", [KEY, DIGEST])
def test_models_are_named_by_key_or_by_the_digest_of_a_file(named: str) -> None:
    values = drop()
    values["measurements"][0]["model"] = named
    assert joined(values)["entries"][0]["name"] == "student-01"


def test_threads_of_one_model_and_runtime_are_one_entry() -> None:
    values = drop()
    values["measurements"].append({**values["measurements"][0], "threads": 1})
    [entry] = joined(values)["entries"]
    assert [measured["threads"] for measured in entry["shapes"]] == [4, 1]


def test_other_models_are_left_out_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    values = drop()
    values["measurements"].append({**values["measurements"][0], "model": OTHER})
    assert len(joined(values)["entries"]) == 1
    assert f"left out 1 measurements of other models, the first of {OTHER}" in caplog.text
    with pytest.raises(UserError, match=f"pi: model {KEY} is none of these models"):
        joined(drop(), models=[model(OTHER)])


def test_a_entry_without_any_shape_is_skipped_with_the_reason() -> None:
    values = drop()
    reason = {"batch_size": 1, "length": 32, "reason": "out of memory"}
    values["measurements"][0].update(shapes=[], skipped_shapes=[reason])
    [entry] = joined(values)["entries"]
    assert entry["skipped"] == "out of memory"
    assert entry["skipped_shapes"] == [{**reason, "kind": "shape", "threads": 4}]


@pytest.mark.parametrize(("named", "runtime"), [(KEY, "onnxruntime"), (DIGEST, "onnxruntime"), (DIGEST, "their-own")])
def test_what_the_gate_rejected_comes_back_by_no_import(named: str, runtime: str) -> None:
    values = drop()
    first(values).update(model=named, runtime=runtime)
    values["measurements"].append({**first(drop()), "runtime": "openvino", "model": KEY})
    gate = {"runtime": "onnxruntime-int8", "accepted": False, "reason": "logits are not finite", "size_bytes": 11}
    rejected, other = joined(values, exports=[replace(export(), parity=gate)])["entries"]
    assert rejected["shapes"] == []
    assert rejected["skipped"] == "export rejected: logits are not finite"
    assert other["runtime"] == "openvino-int8" and other["skipped"] is None and len(other["shapes"]) == 1


def test_one_model_named_in_two_ways_is_still_one() -> None:
    values = drop()
    values["measurements"].append({**first(values), "model": DIGEST})
    with pytest.raises(UserError, match=f"pi: model {DIGEST}: another measurement, which names the model otherwise"):
        joined(values)


def test_features_that_nobody_told_are_unknown_and_not_absent() -> None:
    values = drop()
    del values["device"]["flags"]
    assert joined(values)["machine"]["flags"] is None
    values["device"]["flags"] = []
    assert joined(values)["machine"]["flags"] == []


def test_an_engine_of_their_own_is_shown_with_its_precision() -> None:
    values = drop()
    values["measurements"][0].update(runtime="ncnn", precision="fp16")
    assert joined(values)["entries"][0]["runtime"] == "ncnn-fp16"


def test_the_documented_file_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs/devices.md").read_text(encoding="utf-8")
    start = text.index('    {"format": 1')
    path = tmp_path / "drop.json"
    path.write_text(text[start : text.index("\n\n", start)])
    assert len(read_import(path).measurements[0].shapes) == 2
