"""What exports read, and measuring them where the trained model is not."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock, Timeout
from tests.unit.test_devices_imported import CONFIG, KEY, NAMES, OTHER, model

from distilgrid.benchmark import protocol as protocol_module
from distilgrid.benchmark.inputs import inputs_of, read_inputs
from distilgrid.core.artefacts import write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.core.finished import Finished, open_finished
from distilgrid.core.machine import usable_cores
from distilgrid.devices import measure as measure_module
from distilgrid.devices.imported import read_import
from distilgrid.devices.joined import as_benchmark
from distilgrid.devices.measure import main as measure_main
from distilgrid.runtimes.base import RunOptions, Session, UnsupportedError
from distilgrid.runtimes.onnxruntime import OnnxSession
from distilgrid.tasks.model_inputs import ImageInputs, TextInputs

PIXELS = "pixel_values"
pytestmark = pytest.mark.chain


@pytest.mark.parametrize("image", [False, True])
def test_inputs_are_those_of_our_own_benchmark(image: bool, tmp_path: Path) -> None:
    config = {"image_size": [4, 6], "num_channels": 3} if image else CONFIG
    names = [PIXELS] if image else NAMES
    found = read_inputs(said(tmp_path / "export", {"inputs": inputs_of(config, lambda: names).model_dump()}))
    assert isinstance(found, ImageInputs if image else TextInputs)
    ours = model(config=config)
    assert list(found.lengths([8, 16])) == list(ours.reads.lengths([8, 16]))
    made, wanted = found.make(2, 8), ours.reads.make(2, 8)
    assert list(made) == list(wanted)
    assert all(np.array_equal(made[name], wanted[name]) and made[name].dtype == wanted[name].dtype for name in wanted)
    assert all(made[name].strides == wanted[name].strides for name in wanted)


def test_an_export_that_does_not_say_its_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"parity\.json: says no inputs.*export the model again"):
        read_inputs(said(tmp_path / "older", {"runtime": "onnxruntime-fp32"}))
    with pytest.raises(UserError, match=r"parity\.json: inputs\.vocab: unknown key; did you mean 'vocab_size'"):
        read_inputs(said(tmp_path / "odd", {"inputs": {"names": ["input_ids"], "vocab": 5}}))


def said(folder: Path, parity: dict[str, Any]) -> Finished:
    """An export without a model."""
    with writing(folder, recipe={"stage": "export"}, labels={}) as scratch:
        write_json(scratch / "parity.json", parity)
    return open_finished(folder, stage="export")


def write_export(
    folder: Path, *, accepted: bool = True, longest: int = 64, key: str = KEY, runtime: str = "onnxruntime-fp32"
) -> Path:
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
    parity = {"runtime": runtime, "accepted": accepted, "reason": "too far off", "size_bytes": 1}
    with writing(folder, recipe={"stage": "export", "inputs": {"model": key}}, labels={}) as scratch:
        save(onnx_model, scratch / "model.onnx")
        inputs = inputs_of({"vocab_size": 50}, lambda: ["input_ids"]).model_dump()
        write_json(scratch / "parity.json", {**parity, "inputs": inputs})
    return folder


HIDDEN = (
    *("torch", "transformers", "pandas", "tokenizers", "sklearn", "tqdm", "typer", "huggingface_hub", "safetensors"),
    *("onnx", "onnxscript", "nncf", "torchao", "litert_torch", "ai_edge_quantizer", "jax", "pyarrow", "yaml", "ruamel"),
)
"""What a device that measures need not have: the core's packages, and those that convert models."""
QUICK = ["--name", "Raspberry Pi 5", "--lengths", "8", "16", "--repetitions", "6", "--max-repetitions", "6"]


def test_exports_are_measured_side_by_side_and_join_ours(tmp_path: Path) -> None:
    folders = [write_export(tmp_path / key, key=key) for key in (KEY, OTHER)]
    out = tmp_path / "out" / "drop.json"
    measure_main([*map(str, folders), "--out", str(out), "--batch-sizes", "1", "2", *QUICK])
    found = read_import(out)
    assert found.device.name == "Raspberry Pi 5"
    assert not found.device.phone
    assert [m.model for m in found.measurements] == [KEY, OTHER]
    for measurement in found.measurements:
        assert (measurement.runtime, measurement.precision, measurement.threads) == ("onnxruntime-fp32", "fp32", 1)
        assert [(s.batch_size, s.length) for s in measurement.shapes] == [(1, 8), (1, 16), (2, 8), (2, 16)]
        assert all(s.samples_ms is not None and len(s.samples_ms) == 10 and s.turn == 5 for s in measurement.shapes)
    entries = as_benchmark(found, device="pi", max_drift=0.05, models=[model(), model(OTHER)])["entries"]
    assert [len(entry["shapes"]) for entry in entries] == [4, 4]


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
        (["--threads", "1000"], "--threads: 1000, but this process may use"),
        (["--cores", "100000"], "--cores: core 100000, but this process may use core"),
        (["--lengths", "1000"], "--lengths.0: Input should be less than or equal to 512"),
        (["--name", "me@home"], "--name: String should match pattern"),
    ],
)
def test_wrong_options_end_in_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "a")
    with pytest.raises(UserError, match=message):
        measure_main([str(folder), "--out", str(tmp_path / "drop.json"), *QUICK, *options])


class Watched:
    """A runtime whose loading does something first."""

    def __init__(self, before: Callable[[Path, RunOptions], object]) -> None:
        self.before, self.load_whole = before, OnnxSession

    def __call__(self, folder: Path, how: RunOptions) -> Session:
        self.before(folder, how)
        return self.load_whole(folder, how)


def watch(monkeypatch: pytest.MonkeyPatch, before: Callable[[Path, RunOptions], object]) -> None:
    monkeypatch.setattr(measure_module, "open_runtime", lambda name: Watched(before))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnsupportedError("few fp16 kernels"), "few fp16 kernels"),
        (RuntimeError("bad\x1b[1m opset\nmore"), "does not run: bad [1m opset"),
        (MemoryError(), "out of memory: MemoryError"),
    ],
)
def test_an_export_that_does_not_load_costs_no_other_its_measurement(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def before(folder: Path, how: RunOptions) -> None:
        if folder.name == OTHER:
            raise error

    watch(monkeypatch, before)
    folders = [write_export(tmp_path / key, key=key) for key in (KEY, OTHER)]
    measure_main([*map(str, folders), "--out", str(tmp_path / "drop.json"), *QUICK])
    good, bad = read_import(tmp_path / "drop.json").measurements
    assert [times.length for times in good.shapes] == [8, 16] and good.skipped_shapes == []
    assert bad.shapes == [] and [(s.length, s.reason) for s in bad.skipped_shapes] == [(8, reason), (16, reason)]


def test_a_failure_while_timing_skips_the_shape(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = protocol_module.measure

    def measure(works: Any, **options: Any) -> Any:
        if "length 8" in options["label"]:
            raise RuntimeError("device lost")
        return whole(works, **options)

    monkeypatch.setattr(protocol_module, "measure", measure)
    measure_main([str(write_export(tmp_path / "a")), "--out", str(tmp_path / "drop.json"), *QUICK])
    [found] = read_import(tmp_path / "drop.json").measurements
    assert [times.length for times in found.shapes] == [16]
    reason = "one of the models that took turns does not run: device lost"
    assert [(s.length, s.reason) for s in found.skipped_shapes] == [(8, reason)]


@pytest.mark.skipif(usable_cores() < 2, reason="one core only")
def test_many_threads_go_first_and_stay_whatever_follows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def before(folder: Path, how: RunOptions) -> None:
        if how.threads == 1:
            raise KeyboardInterrupt

    watch(monkeypatch, before)
    out = tmp_path / "drop.json"
    with pytest.raises(KeyboardInterrupt):
        measure_main([str(write_export(tmp_path / "a")), "--out", str(out), *QUICK, "--threads", "1", "2"])
    assert [measurement.threads for measurement in read_import(out).measurements] == [2]


def test_no_other_benchmark_runs_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []

    def before(folder: Path, how: RunOptions) -> None:
        [lock] = tmp_path.glob("distilgrid-benchmark-*.lock")
        with pytest.raises(Timeout):
            FileLock(lock).acquire(blocking=False)
        seen.append(len(os.sched_getaffinity(0)))

    watch(monkeypatch, before)
    measure_main([str(write_export(tmp_path / "a")), "--out", str(tmp_path / "drop.json"), *QUICK])
    assert seen == [1]


def test_what_would_be_lost_in_the_end_is_refused_at_the_start(tmp_path: Path) -> None:
    first, second = (str(write_export(tmp_path / name)) for name in "ab")
    with pytest.raises(UserError, match=r"b: the same model and runtime as .*a; give one of them"):
        measure_main([first, second, "--out", str(tmp_path / "drop.json"), *QUICK])
    with pytest.raises(UserError, match=r"--out: .* is a folder; name a file"):
        measure_main([first, "--out", str(tmp_path), *QUICK])
    with pytest.raises(UserError, match=r"parity\.json: a file is where a folder is wanted"):
        measure_main([first, "--out", f"{first}/parity.json/drop.json", *QUICK])


def test_a_rejected_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this export was rejected: too far off"):
        measure_module.open_exported(write_export(tmp_path / "a", accepted=False))


def test_the_judgement_of_compiled_torch_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model: torch-compile-fp32 runs the trained model itself"):
        measure_module.open_exported(write_export(tmp_path / "a", runtime="torch-compile-fp32"))


def test_measuring_needs_no_more_than_the_documented_packages(tmp_path: Path) -> None:
    folder, out = write_export(tmp_path / "a"), tmp_path / "drop.json"
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {HIDDEN}:\n"
        "            raise ModuleNotFoundError(f'no {name} here')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from distilgrid.devices.measure import main\n"
        f"main({[str(folder), '--out', str(out), *QUICK]!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_import(out).measurements[0].shapes
