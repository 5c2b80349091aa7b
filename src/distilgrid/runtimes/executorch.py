"""ExecuTorch: loads and runs .pte files with XNNPACK. Its Python runtime is linked against torch and imports it."""

import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from distilgrid.core.artefacts import read_json
from distilgrid.runtimes.base import RunOptions, UnsupportedError, check_shape
from distilgrid.runtimes.guards import quiet

# The documented `executorch.runtime` wraps this extension alone, but imports all converters for it.
with quiet():
    import executorch.kernels.quantized  # noqa: F401  registers the kernels of quantised embeddings
    from executorch.extension.pybindings import _C

MODEL_FILE, FACTS_FILE, METHOD = "model.pte", "model.json", "forward"


class ExecuTorchSession:
    """An exported model of any precision as a `Session`. The conversion has fixed its graph.

    All models of a process share one pool of threads, and each keeps a pointer to it: its size cannot change while a
    model is loaded.

    Models are converted for one row: texts of any length up to the longest, images of their one size. A batch runs row
    by row. A batch axis works too, but ExecuTorch plans and clears memory for the largest shape. It took 119 MiB where
    one row took 29 (4 layers, 312 wide, 32 rows of 128 tokens).
    """

    def __init__(self, folder: Path, how: RunOptions) -> None:
        self._names: list[str] = read_json(folder / FACTS_FILE)["inputs"]
        with quiet():
            _use_threads(how.threads)
            self._program = _C._load_program(str(folder / MODEL_FILE))
            self._method = self._program.load_method(METHOD)
        self._largest = tuple(self._program.method_meta(METHOD).input_tensor_meta(0).sizes())
        _LOADED.add(self)

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        arrays = [np.ascontiguousarray(inputs[name]) for name in self._names]
        check_shape(arrays[0].shape, self._largest)  # longer inputs would fail in the middle of the graph
        rows = [[torch.from_numpy(values[row : row + 1]) for values in arrays] for row in range(len(arrays[0]))]

        def run() -> np.ndarray:
            return np.concatenate([self._method.call(row)[0].numpy() for row in rows])

        return run


_LOADED: "weakref.WeakSet[ExecuTorchSession]" = weakref.WeakSet()


def _use_threads(threads: int) -> None:
    """Set the size of the pool of threads, to which loaded models point."""
    now = _C._threadpool_get_thread_count()
    if threads == now:
        return
    if _LOADED:
        raise UnsupportedError(f"the ExecuTorch models of this process use {now} threads, not {threads}")
    _C._unsafe_reset_threadpool(threads)
