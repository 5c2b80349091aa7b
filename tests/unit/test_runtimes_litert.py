"""LiteRT on tiny random models."""

import contextlib
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.mobile_models import (
    LONGEST,
    SHAPES,
    bound,
    differences,
    image_model,
    image_sample,
    pixels,
    text_model,
    text_sample,
    texts,
)

from distilgrid.runtimes.base import RunOptions, UnsupportedError
from distilgrid.runtimes.registry import open_runtime

pytest.importorskip("ai_edge_litert")
pytest.importorskip("litert_torch")

from distilgrid.runtimes import litert as litert_module
from distilgrid.runtimes.litert import LiteRTSession
from distilgrid.runtimes.litert_export import LiteRTExporter, LiteRTInt8Exporter, lengths

EXPORTERS = {"fp32": LiteRTExporter, "int8": LiteRTInt8Exporter}
Exported = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    @functools.cache
    def make(kind: str, precision: str) -> Path:
        folder = tmp_path_factory.mktemp(f"{kind}-{precision}")
        images = kind == "images"
        sample = image_sample() if images else text_sample(kind)
        EXPORTERS[precision]().export(image_model() if images else text_model(kind), sample, folder)
        return folder

    return make


def test_loading_needs_no_torch_and_no_jax() -> None:
    code = "import sys, distilgrid.runtimes.litert; sys.exit(len({'torch', 'jax'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_lengths_double_up_to_the_longest() -> None:
    assert lengths(128) == [16, 32, 64, 128]
    assert lengths(100) == [16, 32, 64, 100]
    assert lengths(16) == [16]
    assert lengths(9) == [9]


@pytest.mark.parametrize(
    "kind", ["bert", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("distilbert", "roberta"))]
)
@pytest.mark.parametrize("optimised", [True, False])
def test_logits_are_torchs_at_any_shape(kind: str, optimised: bool, exported: Exported) -> None:
    model, session = text_model(kind), LiteRTSession(exported(kind, "fp32"), RunOptions(optimised=optimised))
    for batch, length in SHAPES:
        assert differences(model, session, texts(kind, batch, length)) < 1e-5


def test_optimisation_is_another_way_of_computing(exported: Exported) -> None:
    inputs = texts("bert", 8, LONGEST)
    both = [LiteRTSession(exported("bert", "fp32"), RunOptions(optimised=on)) for on in (True, False)]
    assert (bound(both[0], inputs)() != bound(both[1], inputs)()).any()


def test_threads_change_no_result(exported: Exported) -> None:
    inputs = texts("bert", 2, LONGEST)
    both = [bound(LiteRTSession(exported("bert", "fp32"), RunOptions(threads)), inputs)() for threads in (1, 2)]
    np.testing.assert_allclose(*both, atol=1e-5)


def test_int8_is_near_and_smaller(exported: Exported) -> None:
    model, session = text_model(), LiteRTSession(exported("bert", "int8"), RunOptions())
    largest = max(differences(model, session, texts("bert", batch, length)) for batch, length in SHAPES)
    assert 1e-4 < largest < 0.3
    sizes = [(exported("bert", precision) / "model.tflite").stat().st_size for precision in ("int8", "fp32")]
    assert sizes[0] < sizes[1]


def test_weights_are_in_the_file_once(exported: Exported) -> None:
    weights = sum(values.numel() * 4 for values in text_model().parameters())
    names = [f"length_{length}" for length in lengths(LONGEST)]
    assert len(names) == 2
    content = (exported("bert", "fp32") / "model.tflite").read_bytes()
    kernel = text_model().bert.encoder.layer[0].intermediate.dense.weight.detach().numpy().tobytes()
    assert content.count(kernel) == 1
    assert len(content) < 2 * weights + 200_000 and all(name.encode() in content for name in names)


def test_bound_calls_live_side_by_side_and_keep_their_results(exported: Exported) -> None:
    model, session = text_model(), LiteRTSession(exported("bert", "fp32"), RunOptions())
    inputs = [texts("bert", 1, 7), texts("bert", 2, 20), texts("bert", 1, 7)]
    calls = [bound(session, each) for each in inputs]
    results = [call() for call in reversed(calls)][::-1]
    for each, result, again in zip(inputs, results, [call() for call in calls], strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(result, model(**each).logits.numpy(), atol=1e-5)
        np.testing.assert_array_equal(result, again)
        assert result is not again


def test_one_text_after_the_other_takes_no_new_buffers(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the way from text to label: buffers of the last text serve the next, and no output is redirected."""
    model, session = text_model(), LiteRTSession(exported("bert", "fp32"), RunOptions())
    quiets = []

    @contextlib.contextmanager
    def counted() -> Iterator[None]:
        quiets.append(1)
        yield

    monkeypatch.setattr(litert_module, "quiet", counted)
    for length in (7, 3, 16, 20, 24, 5, 17):  # a short text after a long one must not see what that left
        inputs = texts("bert", 1, length)
        with torch.inference_mode():
            np.testing.assert_allclose(bound(session, inputs)(), model(**inputs).logits.numpy(), atol=1e-5)
    assert len(quiets) == 2  # one row for each of the two lengths of the file
    alive = [bound(session, texts("bert", 1, 7)) for _ in range(3)]
    assert len(quiets) == 4  # two more at the same time
    results = [call() for call in alive]
    assert (results[0] != results[1]).any() and (results[1] != results[2]).any()


def test_what_it_cannot_honour_is_refused(exported: Exported) -> None:
    session = LiteRTSession(exported("bert", "fp32"), RunOptions())
    with pytest.raises(UnsupportedError, match=f"length {LONGEST + 1} is more than the {LONGEST} tokens"):
        bound(session, texts("bert", 1, LONGEST + 1))
    with pytest.raises(UnsupportedError, match="CPU"):
        open_runtime("litert-fp32")(exported("bert", "fp32"), RunOptions(processor="cuda"))


@pytest.mark.parametrize("precision", EXPORTERS)
def test_graph_tells_what_xnnpack_takes(precision: str, exported: Exported) -> None:
    graph = LiteRTExporter().graph(exported("bert", precision))
    assert graph.before["FULLY_CONNECTED"] == 8 and graph.before["GELU"] == 1
    assert graph.after["XNNPACK"] >= 1
    assert not {"FULLY_CONNECTED", "BATCH_MATMUL"} & set(graph.after)
    assert graph.fused == {"attention": 0, "layer_norm": 0, "gelu": 1}
    kept = sum(graph.after.values()) - graph.after["XNNPACK"]
    total = sum(graph.before.values())
    assert f"XNNPACK runs {total - kept} of {total} operators" in graph.note


def test_equal_weights_give_equal_bytes(exported: Exported, tmp_path: Path) -> None:
    LiteRTExporter().export(image_model(), image_sample(), tmp_path)
    for name in LiteRTExporter.files:
        assert (tmp_path / name).read_bytes() == (exported("images", "fp32") / name).read_bytes()


def test_images(exported: Exported) -> None:
    model, session = image_model(), LiteRTSession(exported("images", "fp32"), RunOptions())
    for batch in (1, 3):
        assert differences(model, session, pixels(batch)) < 1e-5
    with pytest.raises(UnsupportedError, match="converted for images"):
        session.bind({"pixel_values": np.zeros((1, 3, 9, 9), dtype=np.uint8)})


def test_images_in_int8(exported: Exported) -> None:
    model, session = image_model(), LiteRTSession(exported("images", "int8"), RunOptions())
    assert 1e-5 < differences(model, session, pixels(4)) < 0.1
    sizes = [(exported("images", precision) / "model.tflite").stat().st_size for precision in ("int8", "fp32")]
    assert sizes[0] < sizes[1] / 2
