"""What exports read, and measuring them where the trained model is not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.unit.test_devices_imported import CONFIG, KEY, NAMES, model

from distilgrid.artefacts import write_json, writing
from distilgrid.devices import measure as measure_module
from distilgrid.devices.imported import read_import
from distilgrid.devices.inputs import ImageInputs, TextInputs, describe_inputs, read_inputs
from distilgrid.devices.joined import as_benchmark
from distilgrid.devices.measure import main as measure_main
from distilgrid.errors import UserError
from distilgrid.runtimes.base import PIXELS


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
