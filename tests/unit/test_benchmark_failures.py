"""Models, shapes and processors that cannot be measured cost no other its measurement."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.tiny_benchmark import Chain, convert

from distilgrid.benchmark import footprint as footprint_module
from distilgrid.benchmark import shapes as shapes_module
from distilgrid.benchmark.footprint import gpu_peak
from distilgrid.benchmark.labels import device_label
from distilgrid.benchmark.protocol import Series, measure
from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.runtimes.base import RunOptions
from distilgrid.runtimes.registry import open_runtime


def test_footprint_is_measured_in_a_process_of_its_own(run_benchmark: Callable[..., Any]) -> None:
    for entry in run_benchmark(lengths=[8], runtimes=["onnxruntime-int8"], footprint=True):
        found = entry["footprint"]
        assert set(found) == {"import_seconds", "load_seconds", "first_run_seconds", "loaded_mib", "peak_mib"}
        assert 0 < found["loaded_mib"] < found["peak_mib"] < 400


def test_a_footprint_that_does_not_end_is_a_reason(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint_module, "SECONDS", 0.01)
    for entry in run_benchmark(lengths=[8], runtimes=["onnxruntime-fp32"], footprint=True):
        assert entry["footprint"] == {"reason": "loading and 4 runs took more than 0.01 s"}
        assert len(entry["shapes"]) == 1


class Odd:
    """ONNX Runtime, but for what it does when a model is loaded or a call is made."""

    def __init__(self, *, load: Callable[[], object] = int, call: Callable[[int], object] = int) -> None:
        self.at_load, self.at_call = load, call

    def __call__(self, folder: Path, how: RunOptions) -> "Odd":
        self.at_load()
        self.session = open_runtime("onnxruntime-fp32")(folder, how)
        return self

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        whole = self.session.bind(inputs)

        def run() -> np.ndarray:
            self.at_call(len(inputs["input_ids"]))
            return whole()

        return run


def behave_oddly(monkeypatch: pytest.MonkeyPatch, **how: Callable[..., object]) -> None:
    """Let `onnxruntime-int8` do something else."""
    monkeypatch.setattr(
        shapes_module,
        "open_runtime",
        lambda name: Odd(**how) if name == "onnxruntime-int8" else open_runtime(name),
    )


BOTH = {"lengths": [8], "runtimes": ["onnxruntime-fp32", "onnxruntime-int8"]}


def test_a_model_that_does_not_load_costs_no_other_its_measurement(
    run_benchmark: Callable[..., Any], chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("Unsupported opset\nat node 3")

    behave_oddly(monkeypatch, load=fail)
    skipped = [entry["skipped"] for entry in run_benchmark(chain.exports, **BOTH)]
    assert skipped == [None, "does not run: Unsupported opset"] * 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory: CUDA out of mem"),
        (RuntimeError("[ONNXRuntimeError] : 6 : Out of memory: BFCArena"), "out of memory: [ONNXRuntimeError]"),
        (ValueError("Gather: indices element out of bounds"), "does not run: Gather: indices element out of bounds"),
    ],
)
def test_a_batch_that_does_not_run_skips_this_shape_alone(
    error: Exception, reason: str, run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: int) -> None:
        if rows == 64:
            raise error

    behave_oddly(monkeypatch, call=fail)
    for entry in run_benchmark(**BOTH, batch_sizes=[1, 64]):
        odd = entry["runtime"] == "onnxruntime-int8"
        assert entry["skipped"] is None
        assert [shape["batch_size"] for shape in entry["shapes"]] == ([1] if odd else [1, 64])
        assert [shape["batch_size"] for shape in entry["skipped_shapes"]] == ([64] if odd else [])
        assert all(shape["reason"].startswith(reason) for shape in entry["skipped_shapes"])


def test_a_text_that_does_not_run_skips_the_texts_alone(
    run_benchmark: Callable[..., Any], chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fail(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 40:  # one of the texts, not the first
            raise RuntimeError("once")

    behave_oddly(monkeypatch, call=fail)
    kinds = [[s["kind"] for s in c["shapes"]] for c in run_benchmark(**BOTH, texts=30, data=chain.data)]
    assert kinds.count(["shape", "texts", "text-to-label"]) == 3
    assert min(kinds, key=len) in (["shape"], ["shape", "text-to-label"], ["shape", "texts"])


def test_a_failure_while_timing_skips_the_shape(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(works: list[Any], *, label: str, **options: Any) -> list[Series]:
        if "length 8" in label:
            raise RuntimeError("device lost")
        return measure(works, label=label, **options)

    monkeypatch.setattr(shapes_module, "measure", fail)
    for entry in run_benchmark():
        assert [shape["length"] for shape in entry["shapes"]] == [16]
        [skipped] = entry["skipped_shapes"]
        assert (skipped["length"], skipped["reason"]) == (
            8,
            "one of the models that took turns does not run: device lost",
        )


def test_a_full_disk_is_no_property_of_a_model(
    run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    behave_oddly(monkeypatch, load=fail)
    with pytest.raises(UserError, match="no space left"):
        run_benchmark(**BOTH)


def test_a_gpu_is_named(run_benchmark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    run_benchmark(lengths=[8], device="local-cuda", runtimes=["openvino-fp32"])
    machine = read_json(tmp_path / "out/benchmark.json")["machine"]
    assert machine["gpu"] == "NVIDIA H200"
    assert device_label(machine, threads=1, processor="cuda") == "NVIDIA H200"
    run_benchmark(lengths=[8], runtimes=["openvino-fp32"])
    assert "gpu" not in read_json(tmp_path / "out/benchmark.json")["machine"]


def test_memory_of_a_gpu_is_torchs_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**19)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert gpu_peak("cuda") == {"gpu_peak_mib": 1.5}
    assert gpu_peak("cpu") == {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)  # another runtime computes there
    assert gpu_peak("cuda") == {}


def test_a_processor_that_a_runtime_has_not_is_skipped(run_benchmark: Callable[..., Any]) -> None:
    skipped = [entry["skipped"] for entry in run_benchmark(lengths=[8], device="local-cuda")]
    assert skipped[2] == "does not run on cuda"
    if not torch.cuda.is_available():
        assert skipped[0] == "no CUDA GPU here" and "has no CUDAExecutionProvider" in skipped[1]


def test_rejected_export_is_skipped_with_its_reason(run_benchmark: Callable[..., Any], chain: Chain) -> None:
    rejected = convert(chain.teacher.parent, "tiny", "fp32", tolerance=1e-12)
    entries = run_benchmark([rejected, *chain.exports[1:]], lengths=[8])
    assert entries[1]["skipped"].startswith("export rejected: logits differ from torch's by")
    assert entries[1]["shapes"] == []
    assert [c["skipped"] for i, c in enumerate(entries) if i != 1] == [None] * 5


def test_missing_export_is_skipped(run_benchmark: Callable[..., Any]) -> None:
    skipped = [entry["skipped"] for entry in run_benchmark([], lengths=[8])]
    assert skipped == [None, "not exported for this runtime", "not exported for this runtime"] * 2


def test_lengths_beyond_the_positions_are_skipped_and_announced(
    run_benchmark: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    reason = "length 65 is more than the model's 64 positions"
    for entry in run_benchmark(lengths=[64, 65]):
        assert entry["skipped"] is None
        assert [shape["length"] for shape in entry["shapes"]] == [64]
        assert entry["skipped_shapes"] == [
            {"kind": "shape", "threads": 1, "batch_size": 1, "length": 65, "reason": reason}
        ]
    assert f"tiny, torch-eager-fp32: not measured at 1 thread, batch 1, length 65: {reason}" in caplog.text
    assert {entry["skipped"] for entry in run_benchmark(lengths=[65])} == {reason}
