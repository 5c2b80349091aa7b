"""The protocols of runtimes, which execute exported models or torch's.

Light: a module that loads and runs exported models needs neither torch nor transformers, so a process that serves one
stays small. Conversion lives in separate modules (`*_export.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedModel

Processor = Literal["cpu", "cuda"]
IMAGE_LENGTH = 1
"""The length in tokens of measurements of image models."""
PIXELS = "pixel_values"
"""The input of image models."""


class UnsupportedError(Exception):
    """A runtime refuses a model, a precision, a shape or a processor; the message is the reason, for tables."""


@dataclass(frozen=True)
class Execution:
    """How a model runs: threads of one call on a CPU, and the processor.

    `optimised` allows the runtime to rewrite the graph: fuse operators, fold constants, choose layouts.
    """

    threads: int = 1
    processor: Processor = "cpu"
    optimised: bool = True


@dataclass(frozen=True)
class Sample:
    """Inputs that a conversion can use.

    Attributes:
        example: inputs of two rows, padded to the longer one: texts (2, L) int64 each, images (2, C, H, W) uint8.
        calibration: inputs of single `dev` rows without padding; they set the ranges of int8 activations.
        longest: the most tokens of an input; `IMAGE_LENGTH` for images.
    """

    example: "Mapping[str, Tensor]"
    calibration: "Sequence[Mapping[str, Tensor]]"
    longest: int


@dataclass(frozen=True)
class Graph:
    """Operator counts of a model's graph, by name.

    Attributes:
        before: of the exported file.
        after: of the executed graph, which the runtime rewrote.
        fused: number of `attention`, `layer_norm` and `gelu` blocks that run as one operator each.
        note: an explanation for readers of the counts.
    """

    before: dict[str, int]
    after: dict[str, int]
    fused: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `parity.json`."""
        return asdict(self)


class Session(Protocol):
    """A loaded model, ready to run."""

    def bind(self, inputs: "Mapping[str, np.ndarray]") -> "Callable[[], np.ndarray]":
        """A call that runs the model on fixed inputs and returns its logits (B, C) in fp32.

        Inputs of texts are (B, L) int64 each, of images (B, channels, H, W) uint8. `bind` converts them, so a benchmark
        times the call alone. On a GPU the call includes the copies there and back.

        Raises:
            UnsupportedError: when the model was not converted for inputs of this shape.
        """


class Runtime(Protocol):
    """Executes models."""

    def load(self, folder: Path, how: Execution) -> Session:
        """Load the model of a folder: an export, or the trained model for a runtime without exports.

        Raises:
            UnsupportedError: when it cannot run in this way.
        """


class Exporter(Protocol):
    """Converts trained models for a runtime; `files` names what it writes, the weights' file first."""

    files: tuple[str, ...]

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Convert a model in evaluation mode.

        Raises:
            UnsupportedError: when the runtime has no way to run such a model.
        """

    def graph(self, folder: Path) -> Graph | None:
        """Operator counts on this machine; None for a runtime that hides them."""
