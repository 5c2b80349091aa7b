"""Conversion to ONNX, and operator counts before and after ONNX Runtime's fusions.

int8 has ranges of activations from each call (dynamic), or fixed from `dev` rows (static).
"""

import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch

from distilgrid.runtimes.base import Graph, RunOptions, Sample, counted, fused_blocks
from distilgrid.runtimes.guards import quiet
from distilgrid.runtimes.onnxruntime import LOGITS, MODEL_FILE, session_options
from distilgrid.runtimes.traceable import traceable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPSET = 17  # the first with LayerNormalization as one operator
FUSED = {
    "attention": ("Attention", "MultiHeadAttention", "QAttention"),
    "layer_norm": ("LayerNormalization", "SkipLayerNormalization", "EmbedLayerNormalization"),
    "gelu": ("Gelu", "BiasGelu", "FastGelu"),
}
# Matrix products carry nearly all arithmetic. Gather carries the embedding table: two thirds of a 3-layer MiniLM's
# bytes in fp32, and nine tenths of its int8 file if left alone (53 MB instead of 18 MB). Quantising it too moved label
# agreement on SST-2 from 99.1 to 99.0 %. Products of two activations (attention) stay in fp32: only constants are
# quantised.
QUANTISED_OPERATORS = ["MatMul", "Gemm", "Gather"]
# Between convolutions everything stays in int8: ONNX Runtime has integer kernels for sums and maxima, and a ReLU
# becomes the end of its convolution's range.
IMAGE_OPERATORS = ["Conv", "Gemm", "Relu", "Add", "MaxPool"]
# In transformers a bias, a GELU or a softmax in fp32 follows each product, so rounding its result to int8 saves little.
# Without it the mean error of a 3-layer MiniLM's logits on SST-2 nearly halved, to that of dynamic quantisation.
FLOAT_RESULTS = {"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]}


class OnnxExporter:
    """Exports to ONNX in fp32."""

    files = (MODEL_FILE,)
    note = ""  # of the graph

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.onnx` in the exporter's precision, with a dynamic batch axis and, for texts, length axis."""
        with tempfile.TemporaryDirectory() as scratch:
            exact = Path(scratch) / "fp32.onnx"
            export_onnx(model, sample, exact)
            with quiet():  # quantisers give advice, which the parity gate makes needless
                self.rewrite(exact, folder / MODEL_FILE, sample)

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """Write the fp32 file `source` to `target` in the exporter's precision."""
        shutil.copyfile(source, target)

    def graph(self, folder: Path) -> Graph:
        """Operators of the file, and those after ONNX Runtime's fusions."""
        import onnxruntime as ort

        with tempfile.TemporaryDirectory() as scratch:
            options = session_options(RunOptions())
            options.optimized_model_filepath = str(Path(scratch) / MODEL_FILE)
            ort.InferenceSession(str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"])
            before, after = operators(folder / MODEL_FILE), operators(Path(scratch) / MODEL_FILE)
        return Graph(before, after, fused_blocks(after, FUSED), self.note)


class HalfExporter(OnnxExporter):
    """Exports to ONNX with weights and activations in fp16, for GPUs. Inputs keep their types, and logits are fp32."""

    note = (
        "Judged and counted on the CPU provider: Casts that a GPU does not need, and numbers beyond fp16's range show "
        "only where they pass between operators."
    )

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """Convert weights and activations to fp16, except in operators without an fp16 form.

        Numbers beyond fp16's range become its greatest, the mask of attention included: it stays far below every score.
        Numbers too small for fp16 become its least.
        """
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


class DynamicInt8Exporter(OnnxExporter):
    """Exports to ONNX with int8 weights, one scale per output channel, and uint8 activations scaled at run time."""

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """Quantise weights to 7 bits, as static quantisation does.

        With 8 bits sums overflow on x86 without VNNI. Slower products (`session.x64quantprecision`) avoid that, but
        take a fifth of a 3-layer MiniLM's time on a CPU with AVX2 alone. On STS-B logits came as close to fp32.
        """
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=QUANTISED_OPERATORS,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )


class StaticInt8Exporter(OnnxExporter):
    """Exports to ONNX with int8 weights, one scale per output channel, and uint8 activations, one scale per tensor.

    The file does not depend on the machine that writes it:

    - Weights keep 7 bits. x86 without VNNI adds two products of uint8 and int8 in 16 bits, which saturate in silence
      with 8 bits of both. Logits came as close to those of fp32 with 7 bits.
    - Activations are unsigned: with signed ones ONNX Runtime left half the convolutions of a ResNet in fp32 on x86.

    Activation ranges span all values of the calibration rows (min-max), ONNX Runtime's default. Percentiles, the better
    choice for a BERT-large by Wu et al. 2020 ("Integer quantization for deep learning inference"), and entropy came no
    closer here with results left in fp32. ONNX Runtime takes rows of different lengths for these only one by one.
    """

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """Quantise constants; products of two activations stay in fp32. ValueError without calibration rows."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        rows = ({name: values.numpy() for name, values in row.items()} for row in sample.calibration)
        with tempfile.TemporaryDirectory() as scratch:
            prepared = str(Path(scratch) / "prepared.onnx")
            # ONNX's shape inference finds the type of every tensor; the symbolic one takes seconds and adds nothing.
            quant_pre_process(str(source), prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                SimpleNamespace(get_next=lambda: next(rows, None)),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTISED_OPERATORS if sample.longest else IMAGE_OPERATORS,
                nodes_to_exclude=_products_of_activations(prepared),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options=FLOAT_RESULTS,
            )


def operators(path: Path) -> dict[str, int]:
    """Operator counts of an ONNX file, the most frequent first."""
    import onnx

    return counted(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def export_onnx(model: "PreTrainedModel", sample: Sample, path: Path) -> None:
    """Write a classifier as ONNX: its inputs by name, and `logits` (B, ...).

    Token inputs are (B, L) with both axes dynamic. Pixels are (B, channels, H, W) with a dynamic batch axis: an image
    model has one size, and a runtime plans better for known shapes.

    The tracing exporter (`dynamo=False`) suits these models. It takes about a second where the `torch.export` one takes
    four. It gives the same logits, writes equal bytes for equal weights, and needs no onnxscript. ONNX Runtime fuses
    the result on load into LayerNormalization and BiasGelu. Its separate Attention fusion
    (`onnxruntime.transformers.optimizer`) was no faster at one thread in fp32, and slower in int8.
    """
    names = list(sample.example)
    with quiet():
        torch.onnx.export(
            traceable(model, names),
            tuple(values.contiguous() for values in sample.example.values()),
            str(path),
            dynamo=False,
            external_data=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[LOGITS],
            dynamic_axes={**dict.fromkeys(names, sample.axes()), LOGITS: {0: "batch"}},
        )


def _products_of_activations(path: str) -> list[str]:
    """Names of the matrix products without a constant: `MatMulConstBOnly` is for another format than QDQ."""
    import onnx

    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and constants.isdisjoint(node.input)]
