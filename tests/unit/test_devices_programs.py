"""Benchmark programs for phones: their inputs, command lines and output."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.test_devices_adb import EXECUTORCH, LITERT

from distilgrid.core.errors import UserError
from distilgrid.devices.android.declared import FREE, DeclaredInput, Signature, declared, feed
from distilgrid.devices.android.programs import (
    executorch_command,
    executorch_times,
    litert_command,
    litert_times,
)
from distilgrid.runtimes.base import UnsupportedError

AT = {"batch_size": 1, "length": 16}


def inputs(batch_size: int = 1, length: int = 16) -> list[np.ndarray]:
    ids = np.arange(batch_size * length, dtype=np.int64).reshape(batch_size, length) + 1
    return [ids, np.ones_like(ids), np.zeros_like(ids)]


def fixed(*lengths: int) -> list[Signature]:
    """One signature for each length, as files for LiteRT have them."""
    return [Signature(f"length_{length}", (DeclaredInput((1, length), "int32"),) * 3) for length in lengths]


def test_inputs_have_the_files_type() -> None:
    found = feed(LITERT, inputs())
    assert np.frombuffer(found.contents[0], np.int32).tolist() == list(range(1, 17))
    assert [len(content) for content in found.contents] == [64] * 3
    assert (found.several, found.smaller) == (False, False)


def test_the_signature_of_the_wanted_length_is_taken() -> None:
    found = feed(fixed(32, 16), inputs())
    assert (found.signature.name, found.several) == ("length_16", True)
    assert feed(fixed(32, 16, FREE), inputs()).signature.name == "length_16"
    free = feed(fixed(16, FREE), inputs(length=20))
    assert (free.signature.name, free.shapes[0], len(free.contents[0])) == (f"length_{FREE}", (1, 20), 80)


def test_shorter_texts_are_padded_to_the_next_length_of_a_file() -> None:
    found = feed(fixed(64, 16, 32), inputs(length=20))
    assert (found.signature.name, found.shapes, found.smaller) == ("length_32", ((1, 32),) * 3, False)
    assert np.frombuffer(found.contents[0], np.int32).tolist() == [*range(1, 21), *[0] * 12]
    assert np.frombuffer(found.contents[1], np.int32).tolist() == [1] * 20 + [0] * 12


@pytest.mark.parametrize(("batch_size", "length"), [(1, 17), (2, 16)])
def test_inputs_that_a_file_does_not_take_are_a_reason(batch_size: int, length: int) -> None:
    with pytest.raises(UnsupportedError, match=f"not converted for inputs of shape {batch_size}x{length}"):
        feed(fixed(16), inputs(batch_size, length))
    with pytest.raises(UnsupportedError, match="not converted"):
        feed(LITERT, inputs()[:2])


def test_images_of_another_size_are_not_padded() -> None:
    image = [Signature("image", (DeclaredInput((1, 3, 8, 8), "uint8"),))]
    assert len(feed(image, [np.ones((1, 3, 8, 8), np.uint8)]).contents[0]) == 192
    with pytest.raises(UnsupportedError, match="not converted for inputs of shape 1x3x4x8"):
        feed(image, [np.ones((1, 3, 4, 8), np.uint8)])


def test_smaller_inputs_are_padded_to_the_bounds() -> None:
    bounds = [Signature("forward", (DeclaredInput((4, 32), "int64"),) * 3, bounds=True)]
    found = feed(bounds, inputs(batch_size=2))
    assert found.smaller
    assert found.shapes == ((2, 16),) * 3
    assert np.frombuffer(found.contents[0], np.int64).tolist() == [*range(1, 33), *[0] * 96]
    assert not feed(bounds, inputs(4, 32)).smaller


def test_command_lines() -> None:
    at: dict[str, Any] = {"program": "/p", "files": ["/a", "/b", "/c"], "threads": 4, "warmup": 5, "repetitions": 50}
    assert litert_command(model="/m.tflite", feed=feed(LITERT, inputs()), **at) == [
        "/p",
        "--graph=/m.tflite",
        "--input_layer=input_0,input_1,input_2",
        "--input_layer_shape=1,16:1,16:1,16",
        "--input_layer_value_files=input_0:/a,input_1:/b,input_2:/c",
        "--num_threads=4",
        "--warmup_runs=5",
        "--warmup_min_secs=0",
        "--num_runs=50",
        "--min_secs=0",
        "--use_xnnpack=true",
    ]
    assert executorch_command(model="/m.pte", feed=feed(EXECUTORCH, inputs()), **at) == [
        "/p",
        "--model_path=/m.pte",
        "--method_name=forward",
        "--inputs=/a,/b,/c",
        "--num_executions=55",
        "--cpu_threads=4",
        "--print_output=none",
    ]
    named = litert_command(model="/m.tflite", feed=feed(fixed(32, 16), inputs()), **at)
    assert named[2] == "--signature_to_run_for=length_16"


def test_equal_times_are_read_too() -> None:
    said = "INFO: count=1 curr=90 p5=90 median=90 p95=90\nINFO: count=50 curr=70(all same) p5=70 median=70 p95=70\n"
    found = litert_times(said, **AT)
    assert (found.n, found.p50_ms, found.p95_ms) == (50, 0.07, 0.07)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "told no latency: it wrote nothing"),
        ("INFO: x\nERROR: Failed to allocate", "told no latency: ERROR: Failed to allocate"),
        ("INFO: count=0 p5=-9 median=-9 p95=-9", "made no timed run"),
    ],
)
def test_litert_output_without_times_is_a_reason(said: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        litert_times(said, **AT)


def test_a_runner_that_tells_no_single_runs_is_a_reason() -> None:
    said = "I 00:00 executorch:executor_runner.cpp:1] Model executed successfully 8 time(s) in 24.0 ms."
    with pytest.raises(UnsupportedError, match=r"told 0 of 8 runs: .*build it from ExecuTorch 1\.3 or newer"):
        executorch_times(said, **AT, warmup=2, repetitions=6)
    lost = "\n".join(f"Iteration {n} of 8: 3.0 ms" for n in (1, 2, 3, 5, 6, 7, 8))
    with pytest.raises(UnsupportedError, match="told 7 of 8 runs"):
        executorch_times(lost, **AT, warmup=2, repetitions=6)


def test_reading_a_files_inputs_needs_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs ai_edge_litert: pip install 'distilgrid\[litert\]'"):
        declared("litert", Path("model.tflite"))


@pytest.mark.slow
def test_inputs_of_a_real_executorch_file_are_read(tmp_path: Path) -> None:
    exir = pytest.importorskip("executorch.exir")
    import torch

    class Sum(torch.nn.Module):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return (ids * mask).sum(1)

    example = tuple(torch.ones(1, 16, dtype=torch.int64) for _ in range(2))
    program = exir.to_edge(torch.export.export(Sum().eval(), example)).to_executorch()
    (tmp_path / "model.pte").write_bytes(program.buffer)
    [found] = declared("executorch", tmp_path / "model.pte")
    assert found == Signature("forward", (DeclaredInput((1, 16), "int64"),) * 2, bounds=True)
