"""Runtime `torch-compile-fp32`: the trained model, compiled by torch.compile (inductor)."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch._dynamo import lookup_backend, maybe_mark_dynamic
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._inductor import config
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from torch._inductor.utils import fresh_cache
from torch.utils._triton import has_triton

from distilgrid.runtimes.base import RunOptions, UnsupportedError
from distilgrid.runtimes.guards import LONGEST, first_line
from distilgrid.runtimes.torch_eager import TorchSession, placed
from distilgrid.runtimes.traceable import first_token_only

MOST_GRAPHS = 64
"""Limit of graphs for all models of one class in a process."""
TOLERANCE = 1e-3
"""Largest difference of compiled logits from eager ones, as a share of the largest logit: more than rounding."""


class TorchCompileSession:
    """A trained model as a `Session`, compiled for each new kind of inputs; it never falls back to eager execution.

    Needs a C++ compiler, and Triton on a GPU. One graph serves inputs of any length, and another one single rows.
    Constant lengths gained nothing on a 3-layer MiniLM, and a task's texts have dozens. The weights stay variables:
    "freezing" them into the graph gained nothing either, for convolutions too, and doubles the memory.
    """

    def __init__(self, folder: Path, how: RunOptions) -> None:
        _check_compilers(how)
        model = placed(folder, how)
        self._inductor, self._ready = _Inductor(), set[tuple[torch.Size, ...]]()
        self._eager = TorchSession(model, how)
        # With fullgraph, breaks in the graph and too many recompilations are errors instead of eager execution.
        whole = cast("nn.Module", torch.compile(first_token_only(model), backend=self._inductor, fullgraph=True))
        self._compiled = TorchSession(whole, how)

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`. Compiles when no graph fits the inputs."""
        with torch.inference_mode():  # graphs depend on the mode in which tensors were made
            tensors = {name: _in_order(torch.from_numpy(values)) for name, values in inputs.items()}
        shapes = tuple(tensor.shape for tensor in tensors.values())
        if shapes not in self._ready:
            self._prepare(tensors)
            self._ready.add(shapes)

        def run() -> np.ndarray:
            graphs = self._inductor.graphs
            logits = self._compiled.logits(tensors)
            if self._inductor.graphs != graphs:
                raise RuntimeError("torch compiled again in a call: did its number of threads or its settings change?")
            return logits

        return run

    def _prepare(self, tensors: Mapping[str, Tensor]) -> None:
        graphs = self._inductor.graphs
        for tensor in tensors.values():
            for axis in range(2 if tensor.dim() == 2 else 1):  # images have one size: their batch axis alone
                maybe_mark_dynamic(tensor, axis)
        try:
            # Compile in this process: inductor's processes would live on during the measurement.
            with tempfile.TemporaryDirectory() as scratch, fresh_cache(dir=scratch), config.patch(compile_threads=1):
                # Models of one class share their code, and torch counts graphs by code.
                torch._dynamo.config.recompile_limit = MOST_GRAPHS
                logits = self._compiled.logits(tensors)
        except (RuntimeError, FailOnRecompileLimitHit) as error:
            raise UnsupportedError(f"torch.compile failed: {first_line(error)[:LONGEST]}") from error
        if not self._inductor.graphs:
            raise UnsupportedError("torch.compile is switched off, by TORCH_COMPILE_DISABLE or in torch's settings")
        if self._inductor.graphs != graphs:
            eager = self._eager.logits(tensors)
            difference = float(np.abs(logits - eager).max())
            if not difference <= TOLERANCE * max(1.0, float(np.abs(eager).max())):
                raise UnsupportedError(f"compiled logits differ from eager ones by {difference:.2g}")


def _check_compilers(how: RunOptions) -> None:
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        lacking = "torch.compile needs a C++ compiler, and finds none; install g++ or set CXX"
        raise UnsupportedError(lacking) from None
    if how.processor == "cuda" and not has_triton():
        raise UnsupportedError("torch.compile needs Triton on a GPU, and finds none that works")


class _Inductor:
    """Inductor as a backend that counts its graphs. It holds no model, because torch keeps backends until it ends."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, inputs: Sequence[Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = lookup_backend("inductor")(graph, inputs)
        self.graphs += 1
        return compiled


def _in_order(tensor: Tensor) -> Tensor:
    """A copy with the strides that graphs are compiled for; images are channels last, as in training."""
    return tensor.clone(memory_format=torch.channels_last if tensor.dim() == 4 else torch.contiguous_format)
