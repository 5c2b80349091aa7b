"""LiteRT: loads and runs .tflite files. Light: needs neither torch nor jax."""

import contextlib
import functools
import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.artefacts import read_json
from distilgrid.runtimes.base import RunOptions, check_shape
from distilgrid.runtimes.guards import quiet

if TYPE_CHECKING:
    from ai_edge_litert.environment import Environment

MODEL_FILE, FACTS_FILE = "model.tflite", "model.json"
IN_MEMORY = ":memory"
"""TensorFlow Lite's path of a cache in memory (`MMapWeightCacheProvider`). Without it XNNPACK packs all weights again
for each length."""


class LiteRTSession:
    """An exported model of any precision as a `Session`.

    Without optimisation, TensorFlow Lite's kernels replace XNNPACK's. Shapes are fixed: one row, and for texts one of
    several lengths. Texts are padded to the next length, and batches run row by row.
    """

    def __init__(self, folder: Path, how: RunOptions) -> None:
        facts = read_json(folder / FACTS_FILE)
        self._names: list[str] = facts["inputs"]
        self._pad: dict[str, int] = facts["padding"]
        with quiet():
            self._model = _compiled(folder / MODEL_FILE, how)
        keys = [self._model.get_signature_by_index(n)["key"] for n in range(self._model.get_num_signatures())]
        self._shapes = [tuple(self._model.get_input_tensor_details(key)["args_0"]["shape"]) for key in keys]
        results = [list(self._model.get_output_tensor_details(key).values()) for key in keys]
        self._outputs = [tuple(map(int, only["shape"][1:])) for (only,) in results]
        self._spare: list[list[_Buffers]] = [[] for _ in keys]

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        arrays = {name: inputs[name] for name in self._names}
        number = self._signature(next(iter(arrays.values())).shape)
        padded = [self._padded(name, values, number) for name, values in arrays.items()]
        rows = [self._row([values[row : row + 1] for values in padded], number) for row in range(len(padded[0]))]
        shape = self._outputs[number]

        def run() -> np.ndarray:
            outputs = np.empty((len(rows), *shape), dtype=np.float32)
            for row, buffers in enumerate(rows):
                self._model.run_by_index(number, buffers.inputs, buffers.results)
                outputs[row] = buffers.results[0].read(math.prod(shape), np.float32).reshape(shape)
            return outputs

        # The next call takes the buffers of this one: making one takes longer than a run of a small model.
        weakref.finalize(run, self._spare[number].extend, rows)
        return run

    def _signature(self, shape: tuple[int, ...]) -> int:
        """The number of the signature with the least padding."""
        check_shape(shape, max(self._shapes))
        return min((kept, number) for number, kept in enumerate(self._shapes) if kept[1] >= shape[1])[1]

    def _padded(self, name: str, values: np.ndarray, number: int) -> np.ndarray:
        if values.ndim > 2:  # images
            return np.ascontiguousarray(values)
        padded = np.full((len(values), self._shapes[number][1]), self._pad[name], dtype=np.int32)
        padded[:, : values.shape[1]] = values
        return padded

    def _row(self, values: list[np.ndarray], number: int) -> "_Buffers":
        spare, model = self._spare[number], self._model
        buffers = spare.pop() if spare else None
        with contextlib.nullcontext() if buffers else quiet():  # the first write reports on accelerators
            buffers = buffers or _Buffers(model.create_input_buffers(number), model.create_output_buffers(number))
            buffers.write(values)
        return buffers


@dataclass(frozen=True)
class _Buffers:
    """The memory of one row: its inputs and results."""

    inputs: list[Any]
    results: list[Any]

    def write(self, values: list[np.ndarray]) -> None:
        for buffer, array in zip(self.inputs, values, strict=True):
            buffer.write(array)


def _compiled(path: Path, how: RunOptions) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_options import CpuKernelMode, CpuOptions
    from ai_edge_litert.options import Options

    mode = CpuKernelMode.DELEGATE if how.optimised else CpuKernelMode.BUILTIN
    cpu = CpuOptions(num_threads=how.threads, kernel_mode=mode, xnnpack_weight_cache_path=IN_MEMORY)
    return CompiledModel.from_file(str(path), environment=_environment(), options=Options(cpu_options=cpu))


@functools.cache
def _environment() -> "Environment":
    """The registry of accelerators, which all models of the process share."""
    from ai_edge_litert.environment import Environment

    return Environment.create()
