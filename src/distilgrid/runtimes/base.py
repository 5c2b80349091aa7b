"""The protocols of runtimes, which execute exported models or torch's.

Light: a module that loads and runs exported models needs neither torch nor transformers, so a process that serves one
stays small. Conversion lives in separate modules (`*_export.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedModel

Processor = Literal["cpu", "cuda"]
IMAGE_LENGTH = 1
"""The length in tokens of measurements of image models."""


class UnsupportedError(Exception):
    """A runtime refuses a model, a precision, a shape or a processor; the message is the reason, for tables."""


@dataclass(frozen=True)
class RunOptions:
    """How a model runs."""

    threads: int = 1  # of one call on a CPU
    processor: Processor = "cpu"
    optimised: bool = True  # whether the runtime may rewrite the graph: fuse operators, fold constants, choose layouts


@dataclass(frozen=True)
class Sample:
    """Inputs that a conversion can use."""

    example: "Mapping[str, Tensor]"  # inputs of two rows, padded to the longer one
    calibration: "Sequence[Mapping[str, Tensor]]"  # inputs of single `dev` rows; they set the ranges of int8
    longest: int | None  # the most tokens of an input (B, L) int64; None where all inputs have one size

    def axes(self) -> dict[int, str]:
        """The axes of each input that vary, with their names."""
        return {0: "batch"} if self.longest is None else {0: "batch", 1: "length"}


@dataclass(frozen=True)
class Graph:
    """Operator counts of a model's graph, by name, the most frequent first."""

    before: dict[str, int]  # of the exported file
    after: dict[str, int]  # of the executed graph, which the runtime rewrote
    fused: dict[str, int]  # number of `attention`, `layer_norm` and `gelu` blocks that run as one operator each
    note: str = ""  # an explanation for readers of the counts


def counted(names: Iterable[str]) -> dict[str, int]:
    """Counts of operators by name, the most frequent first."""
    return dict(Counter(names).most_common())


def fused_blocks(counts: Mapping[str, int], blocks: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number of operators that run a whole block, by block; `blocks` names the operators of each."""
    return {block: sum(counts.get(name, 0) for name in names) for block, names in blocks.items()}


def check_shape(shape: tuple[int, ...], largest: tuple[int, ...]) -> None:
    """Refuse inputs longer than those (B, L) of a conversion, or of another size than its images."""
    if len(largest) > 2 and shape[1:] != largest[1:]:
        raise UnsupportedError(f"the model was converted for images {largest[1:]}, not {shape[1:]}")
    if len(largest) == 2 and shape[1] > largest[1]:
        raise UnsupportedError(f"length {shape[1]} is more than the {largest[1]} tokens of the conversion")


class Session(Protocol):
    """A loaded model, ready to run."""

    def bind(self, inputs: "Mapping[str, np.ndarray]") -> "Callable[[], np.ndarray]":
        """A call that runs the model on fixed inputs and returns its outputs (B, ...) in fp32.

        Inputs of texts are (B, L) int64 each, of images (B, channels, H, W) uint8. `bind` converts them, so a benchmark
        times the call alone. On a GPU the call includes the copies there and back. Raises UnsupportedError when the
        model was not converted for inputs of this shape.
        """


Load: TypeAlias = Callable[[Path, RunOptions], Session]
"""Loads the model of a folder: an export, or the trained model for a runtime without exports. Raises UnsupportedError
when it cannot run in this way."""


class Exporter(Protocol):
    """Converts trained models for a runtime; `files` names what it writes, the weights' file first."""

    files: tuple[str, ...]

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Convert a model in evaluation mode. Raises UnsupportedError when the runtime cannot run such a model."""

    def graph(self, folder: Path) -> Graph | None:
        """Operator counts on this machine; None for a runtime that hides them."""
