"""What a runtime is, and the table of runtimes. Light: a runtime's own module is imported on first use.

To add a runtime: write `runtimes/<name>.py` with a class that has `load` (and `export`, if models are converted for
it), add a row here, and add its name to `distilgrid.params.Runtime`.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distilgrid.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedModel


class Session(Protocol):
    """A model that is loaded and ready to run."""

    def bind(self, inputs: "Mapping[str, np.ndarray]") -> "Callable[[], np.ndarray]":
        """A call that runs the model on fixed inputs and returns its logits (B, C) in fp32.

        Inputs of texts are (B, L) int64 each, of images (B, channels, H, W) uint8. Converting them happens here, so a
        benchmark times nothing but the call.
        """


class Runtime(Protocol):
    """Something that executes models."""

    def load(self, folder: Path, *, threads: int) -> Session:
        """The model of a folder: an export, or the trained model itself where `RuntimeEntry.exported` is false."""


class Exporter(Runtime, Protocol):
    """A runtime that models are converted for; `file` is the name of what it writes."""

    file: str

    def export(self, model: "PreTrainedModel", example: "Mapping[str, Tensor]", folder: Path) -> None:
        """Convert a model in evaluation mode; `example` holds inputs of at least two rows."""


@dataclass(frozen=True)
class RuntimeEntry:
    """One row of the table.

    Attributes:
        target: "module:class" of the runtime.
        exported: whether models are converted for it; otherwise it runs the trained model's folder.
        exact: whether its logits must stay within the parity gate's tolerance.
        packages: modules that it needs beyond the core.
        extra: the optional dependency group that brings them.
        no_images: why it takes no models of images; empty where it does.
    """

    target: str
    exported: bool = True
    exact: bool = True
    packages: tuple[str, ...] = ()
    extra: str = ""
    no_images: str = ""


IMAGE_LENGTH = 1
"""What stands for the length in tokens in measurements of image models, which have none."""
ONNX_PACKAGES = ("onnx", "onnxruntime")
ONNX_MODULE = "distilgrid.runtimes.onnxruntime"

RUNTIMES = {
    "torch-eager-fp32": RuntimeEntry("distilgrid.runtimes.torch_eager:TorchEager", exported=False),
    "onnxruntime-fp32": RuntimeEntry(f"{ONNX_MODULE}:OnnxRuntime", packages=ONNX_PACKAGES, extra="onnx"),
    "onnxruntime-int8": RuntimeEntry(
        f"{ONNX_MODULE}:OnnxRuntimeInt8",
        exact=False,
        packages=ONNX_PACKAGES,
        extra="onnx",
        no_images="dynamic quantisation leaves convolutions in fp32, and static quantisation is not there yet",
    ),
}


def find_runtime(name: str) -> RuntimeEntry:
    """A runtime's row.

    Raises:
        UserError: for an unknown name, with a suggestion.
    """
    if name not in RUNTIMES:
        raise UserError(f"unknown runtime '{name}'; {did_you_mean(name, RUNTIMES)}")
    return RUNTIMES[name]


def open_runtime(name: str) -> Runtime:
    """A runtime by its name.

    Raises:
        UserError: for an unknown name, or when the packages it needs are not installed.
    """
    runtime: Runtime = _build(name)
    return runtime


def open_exporter(name: str) -> Exporter:
    """A runtime that models are converted for, by its name.

    Raises:
        UserError: for an unknown name, one that needs no export, or when the packages it needs are not installed.
    """
    if not find_runtime(name).exported:
        known = ", ".join(sorted(other for other, entry in RUNTIMES.items() if entry.exported))
        raise UserError(
            f"runtime '{name}' runs the trained model itself, nothing is exported for it; choose one of: {known}"
        )
    exporter: Exporter = _build(name)
    return exporter


def _build(name: str) -> Any:
    entry = find_runtime(name)
    missing = [package for package in entry.packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f"runtime '{name}' needs {' and '.join(missing)}: pip install 'distilgrid[{entry.extra}]'")
    module, _, target = entry.target.partition(":")
    return getattr(importlib.import_module(module), target)()
