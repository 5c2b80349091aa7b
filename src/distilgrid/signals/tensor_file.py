"""Tensors in a safetensors file that may exceed the memory: rows are written and read as they are needed.

The format (https://huggingface.co/docs/safetensors): the header's length in 8 bytes, the header as JSON, then the
tensors end to end. `safetensors.torch` writes a file from tensors in memory and maps a whole file to read it. Here the
file is read and written by calls, because a process's memory, as SLURM counts it, includes the pages that it maps.
"""

import errno
import json
import math
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Shapes = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]
"""Types and shapes of tensors by name."""
# In the order in which safetensors lays tensors out, those of a type by name.
TYPES = {
    "I64": torch.int64,
    "F64": torch.float64,
    "F32": torch.float32,
    "I32": torch.int32,
    "F16": torch.float16,
    "U8": torch.uint8,
}
ALIGNED = 8  # bytes


class OpenFile:
    """A file that stays open while something refers to it, whatever becomes of its name."""

    def __init__(self, path: Path, flags: int = os.O_RDONLY) -> None:
        self.number = os.open(path, flags, 0o666)
        weakref.finalize(self, os.close, self.number)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return os.fstat(self.number).st_size

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self.number)

    def transfer(self, call: Callable[..., int], view: memoryview, start: int) -> None:
        """Read or write bytes from a start on: repeat a call, which may do a part. Raises OSError at the file's end."""
        while view:
            done = call(self.number, [view], start)
            if done == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            view, start = view[done:], start + done


@dataclass(frozen=True)
class Extent:
    """A tensor's rows in a file."""

    file: OpenFile
    start: int  # byte of the first row
    rows: int


@dataclass(frozen=True)
class FileTensor:
    """A tensor (N, *row) in one or several files, which is read by rows."""

    extents: tuple[Extent, ...]
    row: tuple[int, ...]  # shape of a row
    dtype: torch.dtype
    chosen: Tensor | None = None  # (N,) numbers of the rows that count; None for all

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        whole = sum(extent.rows for extent in self.extents)
        return (whole if self.chosen is None else len(self.chosen), *self.row)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor) -> Tensor:
        """Rows of some numbers, read from the file: (r, *row)."""
        rows = (index if self.chosen is None else self.chosen[index]).numpy()
        found = torch.empty((len(rows), *self.row), dtype=self.dtype)
        self._transfer(os.preadv, found, rows)
        return found

    def __setitem__(self, index: Tensor, values: Tensor) -> None:
        """Write rows of some numbers."""
        self._transfer(os.pwritev, values.to(self.dtype), index.numpy())

    def whole(self) -> Tensor:
        """The tensor in memory."""
        return self[torch.arange(len(self))]

    def take(self, rows: Tensor) -> "FileTensor":
        """Some rows, in the given order, without reading them."""
        return replace(self, chosen=rows if self.chosen is None else self.chosen[rows])

    def joined(self, others: "Sequence[FileTensor]") -> "FileTensor":
        """These rows, then those of others."""
        return replace(self, extents=tuple(extent for part in (self, *others) for extent in part.extents))

    def flattened(self, dimensions: int) -> "FileTensor":
        """Join the first dimensions of a tensor whose rows all count."""
        each, row = math.prod(self.row[: dimensions - 1]), self.row[dimensions - 1 :]
        return replace(self, extents=tuple(replace(e, rows=e.rows * each) for e in self.extents), row=row)

    def to(self, device: torch.device) -> "FileTensor":
        """Stay in the file; the rows of a batch follow it to a device."""
        return self

    def _transfer(self, call: Callable[..., int], tensor: Tensor, rows: np.ndarray) -> None:
        """Read or write rows, adjacent ones at once."""
        size = math.prod(self.row) * self.dtype.itemsize
        view = bytes_of(tensor)
        ends = np.cumsum([extent.rows for extent in self.extents])
        parts = np.searchsorted(ends, rows, side="right")
        for begin, end in _runs(rows, parts):
            extent = self.extents[parts[begin]]
            place = int(rows[begin]) - int(ends[parts[begin]]) + extent.rows
            extent.file.transfer(call, view[begin * size : end * size], extent.start + place * size)


def tensors_of(path: Path) -> dict[str, FileTensor]:
    """The tensors of a file by name. Their rows are read on use."""
    file = OpenFile(path)
    length = int.from_bytes(os.pread(file.number, ALIGNED, 0), "little")
    header: dict[str, Any] = json.loads(os.pread(file.number, length, ALIGNED))
    facts = {name: known for name, known in header.items() if name != "__metadata__"}
    shapes: Shapes = {name: (TYPES[known["dtype"]], tuple(known["shape"])) for name, known in facts.items()}
    starts = {name: ALIGNED + length + known["data_offsets"][0] for name, known in facts.items()}
    return _opened(file, shapes, starts)


def filled(path: Path, shapes: Shapes, *, new: bool) -> dict[str, FileTensor]:
    """The tensors of a file that is to be filled, byte by byte that of `safetensors.torch.save_file`.

    A `new` file is made for them; its unwritten rows hold zeros, which take no space on the disk. Otherwise the file
    exists. Raises ValueError when it has another size.
    """
    header, ends = _header(shapes)
    size = len(header) + max(ends.values(), default=0)
    if new:
        path.unlink(missing_ok=True)  # an artefact may share the old file
    file = OpenFile(path, os.O_RDWR | (os.O_CREAT if new else 0))
    if new:
        os.truncate(file.number, size)
    elif file.size != size:
        raise ValueError(f"{file.size} bytes where {size} are expected")
    file.transfer(os.pwritev, memoryview(header), 0)
    starts = {name: len(header) + end - _bytes(*shapes[name]) for name, end in ends.items()}
    return _opened(file, shapes, starts)


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor in memory, row by row."""
    flat: np.ndarray = tensor.contiguous().numpy().reshape(-1).view(np.uint8)
    return flat.data


def _header(shapes: Shapes) -> tuple[bytes, dict[str, int]]:
    """The file's first bytes, and the place after each tensor, counted from the first one."""
    names, place, facts, ends = {each: name for name, each in TYPES.items()}, 0, {}, {}
    for name in sorted(shapes, key=lambda each: (list(names).index(shapes[each][0]), each)):
        dtype, shape = shapes[name]
        ends[name] = place + _bytes(dtype, shape)
        facts[name] = {"dtype": names[dtype], "shape": list(shape), "data_offsets": [place, ends[name]]}
        place = ends[name]
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(ALIGNED, "little") + text, ends


def _bytes(dtype: torch.dtype, shape: Sequence[int]) -> int:
    return math.prod(shape) * dtype.itemsize


def _opened(file: OpenFile, shapes: Shapes, starts: Mapping[str, int]) -> dict[str, FileTensor]:
    return {
        name: FileTensor((Extent(file, starts[name], rows),), tuple(row), dtype)
        for name, (dtype, (rows, *row)) in shapes.items()
    }


def _runs(rows: np.ndarray, parts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Positions where adjacent rows of a file begin and end."""
    cuts = np.flatnonzero((np.diff(rows) != 1) | (np.diff(parts) != 0)) + 1
    return pairwise([0, *cuts.tolist(), len(rows)] if len(rows) else [])
