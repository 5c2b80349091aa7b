"""What a runtime is: something that executes models, exported ones or torch's own.

Light: a module that only loads and runs exported models needs neither torch nor transformers, so that a process which
serves one stays small. Conversion lives in modules of its own (`*_export.py`).
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
"""What stands for the length in tokens in measurements of image models, which have none."""
PIXELS = "pixel_values"
"""The input of image models."""


class UnsupportedError(Exception):
    """A runtime cannot take a model, a precision, a shape or a processor; the message is the reason, for tables."""


@dataclass(frozen=True)
class Execution:
    """How a model is run.

    Attributes:
        threads: of one call, on a CPU.
        processor: what computes.
        optimised: whether the runtime may rewrite the graph: fuse operators, fold constants, choose layouts.
    """

    threads: int = 1
    processor: Processor = "cpu"
    optimised: bool = True


@dataclass(frozen=True)
class Sample:
    """What a conversion may look at.

    Attributes:
        example: inputs of two rows, padded to the longer one: texts (2, L) int64 each, images (2, C, H, W) uint8.
        calibration: inputs of single `dev` rows without padding, from which ranges of int8 activations are chosen.
        longest: the most tokens of an input; `IMAGE_LENGTH` for images.
    """

    example: "Mapping[str, Tensor]"
    calibration: "Sequence[Mapping[str, Tensor]]"
    longest: int


@dataclass(frozen=True)
class Graph:
    """What a runtime made of a model's graph, as counts of operators by name.

    Attributes:
        before: of the exported file.
        after: of what is executed, after the runtime's own rewriting.
        fused: how many `attention`, `layer_norm` and `gelu` blocks run as one operator each.
        note: what a reader of the counts must know; empty where they speak for themselves.
    """

    before: dict[str, int]
    after: dict[str, int]
    fused: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `parity.json`."""
        return asdict(self)


class Session(Protocol):
    """A model that is loaded and ready to run."""

    def bind(self, inputs: "Mapping[str, np.ndarray]") -> "Callable[[], np.ndarray]":
        """A call that runs the model on fixed inputs and returns its logits (B, C) in fp32.

        Inputs of texts are (B, L) int64 each, of images (B, channels, H, W) uint8. Converting them happens here, so a
        benchmark times nothing but the call. On a GPU the call includes the copies there and back.

        Raises:
            UnsupportedError: when the model was not converted for inputs of this shape.
        """


class Runtime(Protocol):
    """Something that executes models."""

    def load(self, folder: Path, how: Execution) -> Session:
        """The model of a folder: an export, or the trained model itself where nothing is exported.

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
        """What the runtime makes of an exported model on this machine; None where it does not tell."""
