"""Runtimes `onnxruntime-fp32` and `onnxruntime-int8`: conversion to ONNX, quantisation, execution on the CPU."""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.models.image_model import ImageModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPSET = 17  # the first with LayerNormalization as one operator
LOGITS, PIXELS = "logits", "pixel_values"

# Matrix products carry nearly all arithmetic. Gather carries the embedding table: two thirds of a 3-layer MiniLM's
# bytes in fp32, and nine tenths of its int8 file if left alone (53 MB instead of 18 MB). Quantising it too moved label
# agreement on SST-2 from 99.1 to 99.0 %. Products of two activations (attention) stay in fp32: only constants are
# quantised.
QUANTISED_OPERATORS = ["MatMul", "Gemm", "Gather"]


class OnnxRuntime:
    """Exports to ONNX in fp32 and runs it."""

    file = "model.onnx"

    def export(self, model: "PreTrainedModel", example: Mapping[str, Tensor], folder: Path) -> None:
        """Write `model.onnx`, with a dynamic batch axis and, for texts, a dynamic length axis."""
        export_onnx(model, example, folder / self.file)

    def load(self, folder: Path, *, threads: int) -> "OnnxSession":
        """The exported model of a folder."""
        return OnnxSession(folder / self.file, threads=threads)


class OnnxRuntimeInt8(OnnxRuntime):
    """As `OnnxRuntime`, with int8 weights and activations quantised on the fly."""

    def export(self, model: "PreTrainedModel", example: Mapping[str, Tensor], folder: Path) -> None:
        """Write `model.onnx` with int8 weights."""
        with tempfile.TemporaryDirectory() as scratch:
            exact = Path(scratch) / "fp32.onnx"
            export_onnx(model, example, exact)
            quantise(exact, folder / self.file)


class OnnxSession:
    """An ONNX Runtime session behind the interface of runtimes."""

    def __init__(self, path: Path, *, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Idle worker threads would otherwise go on spinning, on cores that another model is being timed on.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        feed = {name: np.ascontiguousarray(values) for name, values in inputs.items()}

        def run() -> np.ndarray:
            logits: np.ndarray = self._session.run([LOGITS], feed)[0]
            return logits

        return run


class _LogitsOnly(torch.nn.Module):
    """A classifier with positional inputs and one output, as tracing wants it."""

    def __init__(self, model: "PreTrainedModel", names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip(self.names, inputs, strict=True))
        logits: Tensor = self.model(**named).logits
        return logits


class _ImageLogits(torch.nn.Module):
    """An image classifier from pixels to logits, its normalisation in few operators that ONNX has."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = (
            255 * torch.tensor(values)[:, None, None] for values in (model.config.image_mean, model.config.image_std)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.model.feature_maps((pixels.float() - self.mean) / self.std)
        return self.model.classified(maps[-1])


def export_onnx(model: "PreTrainedModel", example: Mapping[str, Tensor], path: Path) -> None:
    """Write a classifier as ONNX: its inputs by name, and `logits` (B, C).

    Token inputs are (B, L) with both axes dynamic; pixels are (B, channels, H, W), of which the batch alone is: a model
    of images has one size, and a runtime plans better for shapes that it knows.

    The tracing exporter (`dynamo=False`) is the choice for these models: it takes about a second where the
    `torch.export` one takes four, gives the same logits, writes equal bytes for equal weights, and needs no onnxscript.
    ONNX Runtime fuses the result on load into LayerNormalization and BiasGelu. Its separate Attention fusion
    was tried (`onnxruntime.transformers.optimizer`): no faster at one thread in fp32, slower in int8.
    """
    names = list(example)
    traced = _ImageLogits(model) if isinstance(model, ImageModel) else _LogitsOnly(model, names)
    axes = {name: {0: "batch"} if name == PIXELS else {0: "batch", 1: "length"} for name in names}
    with _quiet():
        torch.onnx.export(
            traced.eval(),
            tuple(values.contiguous() for values in example.values()),
            str(path),
            dynamo=False,
            external_data=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[LOGITS],
            dynamic_axes={**axes, LOGITS: {0: "batch"}},
        )


def quantise(source: Path, target: Path) -> None:
    """Dynamic quantisation: int8 weights with one scale per output channel, uint8 activations scaled at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            source, target, op_types_to_quantize=QUANTISED_OPERATORS, per_channel=True, weight_type=QuantType.QInt8
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tracer's remarks on shapes and the quantiser's advice, which the parity gate makes needless."""

    def drop(_record: logging.LogRecord) -> bool:
        return False

    root = logging.getLogger()  # the quantiser logs to the root logger itself
    root.addFilter(drop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeFilter(drop)
