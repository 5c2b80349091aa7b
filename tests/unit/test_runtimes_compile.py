"""torch.compile on tiny random models: equal logits, and never a call that is not compiled."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.word_models import VOCABULARY, write_dataset, write_model

from distilgrid.runtimes import torch_compile as module
from distilgrid.runtimes.base import RunOptions, UnsupportedError
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.torch_compile import TorchCompileSession
from distilgrid.runtimes.torch_eager import load_exact

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compile")
    return write_model(root / "model", write_dataset(root / "data"))


@pytest.fixture(scope="module")
def session(folder: Path) -> TorchCompileSession:
    try:
        return TorchCompileSession(folder, RunOptions())
    except UnsupportedError as reason:
        pytest.skip(str(reason))


def inputs(batch: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(5, len(VOCABULARY), size=(batch, length), dtype=np.int64)
    mask = np.ones_like(ids)
    mask[-1, (length + 1) // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@pytest.mark.parametrize(("batch", "length"), [(1, 7), (1, 19), pytest.param(3, 12, marks=pytest.mark.slow), (4, 30)])
def test_compiled_logits_are_eager_ones(session: TorchCompileSession, folder: Path, batch: int, length: int) -> None:
    given = inputs(batch, length)
    expected = load_exact(folder, RunOptions()).bind(given)()
    np.testing.assert_allclose(session.bind(given)(), expected, atol=1e-4)


def test_texts_of_many_lengths_share_graphs_and_keep_their_logits(session: TorchCompileSession) -> None:
    calls = [session.bind(inputs(1, length)) for length in range(3, 30)]
    assert session._inductor.graphs <= 3
    first = [call() for call in calls]
    again = [call() for call in reversed(calls)]
    for one, other in zip(first, reversed(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({logits.tobytes() for logits in first}) == len(first)


def test_callers_within_inference_mode_and_without_share_graphs(session: TorchCompileSession) -> None:
    with torch.inference_mode():
        within = session.bind(inputs(1, 7))()
    np.testing.assert_array_equal(session.bind(inputs(1, 7))(), within)


def test_compiling_is_not_part_of_a_call(session: TorchCompileSession) -> None:
    run = session.bind(inputs(1, 7))
    graphs = session._inductor.graphs
    assert graphs > 0
    run()
    assert session._inductor.graphs == graphs


def test_a_call_that_compiles_again_is_an_error(session: TorchCompileSession) -> None:
    call = session.bind(inputs(1, 7))
    torch._dynamo.reset()
    with pytest.raises(RuntimeError, match="compiled again in a call"):
        call()


def test_without_optimisation_it_is_refused(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match="without rewriting the graph"):
        open_runtime("torch-compile-fp32")(folder, RunOptions(optimised=False))


def test_without_a_compiler_it_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_found() -> str:
        raise module.InvalidCxxCompiler

    monkeypatch.setattr(module, "get_cpp_compiler", none_found)
    with pytest.raises(UnsupportedError, match=r"needs a C\+\+ compiler, and finds none; install g\+\+ or set CXX"):
        TorchCompileSession(folder, RunOptions())


def test_switched_off_it_is_refused_and_not_run_eagerly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = TorchCompileSession(folder, RunOptions())
    monkeypatch.setattr(torch._dynamo.config, "disable", True)
    with pytest.raises(UnsupportedError, match=r"torch\.compile (is switched off|failed: .*no compiled frames)"):
        session.bind(inputs(1, 5))
