"""ExecuTorch on tiny random models."""

import functools
from collections.abc import Callable
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

pytest.importorskip("executorch")

from distilgrid.runtimes import executorch_export
from distilgrid.runtimes.executorch import ExecuTorchSession
from distilgrid.runtimes.executorch_export import ExecuTorchExporter, ExecuTorchInt8Exporter

EXPORTERS = {"fp32": ExecuTorchExporter, "int8": ExecuTorchInt8Exporter}
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


@pytest.mark.parametrize(
    "kind", ["bert", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("distilbert", "roberta"))]
)
def test_logits_are_torchs_at_any_shape(kind: str, exported: Exported) -> None:
    model, session = text_model(kind), ExecuTorchSession(exported(kind, "fp32"), RunOptions())
    for batch, length in SHAPES:
        assert differences(model, session, texts(kind, batch, length)) < 1e-5


def test_int8_is_near_and_smaller(exported: Exported) -> None:
    model, session = text_model(), ExecuTorchSession(exported("bert", "int8"), RunOptions())
    largest = max(differences(model, session, texts("bert", batch, length)) for batch, length in SHAPES)
    assert 1e-4 < largest < 0.3
    sizes = [(exported("bert", precision) / "model.pte").stat().st_size for precision in ("int8", "fp32")]
    assert sizes[0] < sizes[1]


def test_int8_rows_do_not_depend_on_their_batch(exported: Exported) -> None:
    session, inputs = ExecuTorchSession(exported("bert", "int8"), RunOptions()), texts("bert", 3, 9)
    alone = [bound(session, {name: values[row : row + 1] for name, values in inputs.items()})() for row in range(3)]
    np.testing.assert_array_equal(np.concatenate(alone), bound(session, inputs)())


def test_bound_calls_live_side_by_side_and_keep_their_results(exported: Exported) -> None:
    model, session = text_model(), ExecuTorchSession(exported("bert", "fp32"), RunOptions())
    inputs = [texts("bert", 1, 7), texts("bert", 2, 20), texts("bert", 1, 7)]
    calls = [bound(session, each) for each in inputs]
    results = [call() for call in reversed(calls)][::-1]
    for each, result, again in zip(inputs, results, [call() for call in calls], strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(result, model(**each).logits.numpy(), atol=1e-5)
        np.testing.assert_array_equal(result, again)
        assert result is not again


def test_longer_texts_are_refused(exported: Exported) -> None:
    session = ExecuTorchSession(exported("bert", "fp32"), RunOptions())
    with pytest.raises(UnsupportedError, match=f"length {LONGEST + 1} is more than the {LONGEST} tokens"):
        bound(session, texts("bert", 1, LONGEST + 1))


def test_what_it_cannot_honour_is_refused(exported: Exported) -> None:
    folder = exported("bert", "fp32")
    session = ExecuTorchSession(folder, RunOptions())
    with pytest.raises(UnsupportedError, match="use 1 threads, not 2"):
        ExecuTorchSession(folder, RunOptions(2))
    with pytest.raises(UnsupportedError, match="without rewriting the graph"):
        open_runtime("executorch-fp32")(folder, RunOptions(optimised=False))
    with pytest.raises(UnsupportedError, match="CPU"):
        open_runtime("executorch-fp32")(folder, RunOptions(processor="cuda"))
    inputs = texts("bert", 1, LONGEST)
    expected = bound(session, inputs)()
    del session
    two = ExecuTorchSession(folder, RunOptions(2))
    np.testing.assert_allclose(bound(two, inputs)(), expected, atol=1e-5)


def test_graph_tells_delegates_and_what_is_outside(exported: Exported) -> None:
    graph = ExecuTorchExporter().graph(exported("bert", "fp32"))
    assert graph.before["aten.linear.default"] == 8
    assert graph.after["XnnpackBackend"] > 5 and graph.after["embedding"] == 3
    assert not set(executorch_export.HEAVY) & set(graph.after)
    assert graph.fused == {"attention": 0, "layer_norm": 3, "gelu": 1}
    assert "8 linear" in graph.note


def test_models_that_xnnpack_does_not_take_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(executorch_export, "partitioners", list)
    with pytest.raises(UnsupportedError, match=r"left .*1 addmm, 7 convolution to ExecuTorch's portable kernels"):
        ExecuTorchExporter().export(image_model(), image_sample(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_equal_weights_give_equal_bytes(exported: Exported, tmp_path: Path) -> None:
    ExecuTorchExporter().export(image_model(), image_sample(), tmp_path)
    for name in ExecuTorchExporter.files:
        assert (tmp_path / name).read_bytes() == (exported("images", "fp32") / name).read_bytes()


def test_images(exported: Exported) -> None:
    model, session = image_model(), ExecuTorchSession(exported("images", "fp32"), RunOptions())
    for batch in (1, 3):
        assert differences(model, session, pixels(batch)) < 1e-5
    with pytest.raises(UnsupportedError, match="converted for images"):
        session.bind({"pixel_values": np.zeros((1, 3, 9, 9), dtype=np.uint8)})


@pytest.mark.slow
def test_images_in_int8(exported: Exported) -> None:
    model, session = image_model(), ExecuTorchSession(exported("images", "int8"), RunOptions())
    assert 1e-5 < differences(model, session, pixels(4)) < 0.1
    sizes = [(exported("images", precision) / "model.pte").stat().st_size for precision in ("int8", "fp32")]
    assert sizes[0] < sizes[1] / 2
