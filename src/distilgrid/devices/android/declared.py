"""Inputs that an exported file for phones declares, read with the runtime's package.

Benchmark programs fill inputs with ones or random numbers, which mean nothing as token ids or masks. They get files
with the inputs of our benchmark instead, in the order, shape and type of the exported file.
"""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.runtimes.base import UnsupportedError

if TYPE_CHECKING:
    import numpy as np

PACKAGES = {"litert": "ai_edge_litert", "executorch": "executorch"}
EXECUTORCH_TYPES = {0: "uint8", 1: "int8", 3: "int32", 4: "int64", 6: "float32"}
"""Torch's numbers of scalar types (c10/core/ScalarType.h), as ExecuTorch's metadata gives them."""
FREE = -1
"""A dimension of any size."""


@dataclass(frozen=True)
class DeclaredInput:
    """One input of a file: its dimensions, and NumPy's name of its type."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """One way to call a file: name of the signature or method, and inputs in the order of the call.

    With `bounds`, sizes are upper bounds: smaller inputs may or may not fit.
    """

    name: str
    inputs: tuple[DeclaredInput, ...]
    bounds: bool = False


@dataclass(frozen=True)
class Feed:
    """Inputs for a benchmark program."""

    signature: Signature
    several: bool  # whether the file has other signatures, so that the program needs the name
    shapes: tuple[tuple[int, ...], ...]  # of each input, in order, padding included
    contents: tuple[bytes, ...]  # of each input, in order, padded with zeros to the size that the file declares
    smaller: bool  # whether sizes are below the file's bounds, so that the program needs them


def declared(engine: str, path: Path) -> list[Signature]:
    """All ways to call an exported file; UserError without the runtime's package."""
    package = PACKAGES[engine]
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{path}: reading its inputs needs {package}: pip install 'distilgrid[{engine}]'")
    return _litert(path) if engine == "litert" else _executorch(path)


def _litert(path: Path) -> list[Signature]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    found = []
    for name in interpreter.get_signature_list():
        details = interpreter.get_signature_runner(name).get_input_details()
        # `benchmark_model` takes inputs by the order of their tensors, a signature lists them by name.
        ordered = sorted(details.values(), key=lambda detail: int(detail["index"]))
        inputs = (DeclaredInput(tuple(map(int, d["shape_signature"])), d["dtype"].__name__) for d in ordered)
        found.append(Signature(name, tuple(inputs)))
    return found


def _executorch(path: Path) -> list[Signature]:
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)
    found = []
    for name in sorted(program.method_names):
        meta = program.metadata(name)
        tensors = [meta.input_tensor_meta(number) for number in range(meta.num_inputs())]
        types = [EXECUTORCH_TYPES.get(tensor.dtype(), str(tensor.dtype())) for tensor in tensors]
        inputs = (DeclaredInput(tuple(t.sizes()), dtype) for t, dtype in zip(tensors, types, strict=True))
        found.append(Signature(name, tuple(inputs), bounds=True))
    return found


def feed(signatures: Sequence[Signature], inputs: "Sequence[np.ndarray]") -> Feed:
    """The bytes that call a file with inputs in its order, by the signature that fits them best.

    Texts may be shorter than a signature's: a file with fixed lengths pads them to the next one, as its runtime does.

    Raises:
        UnsupportedError: when the file takes no inputs of these shapes.
    """
    fitting = [signature for signature in signatures if _fits(signature, inputs)]
    if not fitting:
        raise UnsupportedError(f"not converted for inputs of shape {'x'.join(map(str, inputs[0].shape))}")
    chosen = min(fitting, key=_room)
    pairs = list(zip(chosen.inputs, inputs, strict=True))
    shapes = tuple(values.shape if chosen.bounds else _padded_shape(given, values) for given, values in pairs)
    contents = tuple(_content(given, values, shape) for (given, values), shape in zip(pairs, shapes, strict=True))
    smaller = chosen.bounds and any(given.shape != values.shape for given, values in pairs)
    return Feed(chosen, len(signatures) > 1, shapes, contents, smaller)


def _fits(signature: Signature, inputs: "Sequence[np.ndarray]") -> bool:
    if len(signature.inputs) != len(inputs):
        return False
    pairs = zip(signature.inputs, inputs, strict=True)
    return all(_takes(given.shape, values.shape, bounds=signature.bounds) for given, values in pairs)


def _takes(given: Sequence[int], wanted: Sequence[int], *, bounds: bool) -> bool:
    if len(given) != len(wanted):
        return False
    text = len(given) == 2
    sizes = enumerate(zip(given, wanted, strict=True))
    return all(g in (FREE, w) or (w < g and (bounds or (text and axis == 1))) for axis, (g, w) in sizes)


def _room(signature: Signature) -> float:
    """Capacity of the inputs, in numbers; the smallest needs the least padding."""
    return sum(math.prod(math.inf if size == FREE else size for size in each.shape) for each in signature.inputs)


def _padded_shape(given: DeclaredInput, values: "np.ndarray") -> tuple[int, ...]:
    return tuple(own if size == FREE else size for size, own in zip(given.shape, values.shape, strict=True))


def _content(given: DeclaredInput, values: "np.ndarray", shape: tuple[int, ...]) -> bytes:
    """The values at the front of each row of `shape`, then zeros up to an upper bound."""
    import numpy as np

    rows = np.ascontiguousarray(values).astype(given.dtype)
    flat = np.pad(rows, [(0, size - own) for size, own in zip(shape, values.shape, strict=True)]).ravel()
    total = flat.size if FREE in given.shape else math.prod(given.shape)
    return np.pad(flat, (0, total - flat.size)).tobytes()
