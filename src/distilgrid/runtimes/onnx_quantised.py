"""Quantised ONNX files: int8 weights; activation ranges from each call (dynamic), or fixed from `dev` rows (static)."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from distilgrid.runtimes.base import PIXELS, Sample
from distilgrid.runtimes.onnx_export import RewritingExporter

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


class DynamicInt8Exporter(RewritingExporter):
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


class StaticInt8Exporter(RewritingExporter):
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

        with tempfile.TemporaryDirectory() as scratch:
            prepared = str(Path(scratch) / "prepared.onnx")
            # ONNX's shape inference finds the type of every tensor; the symbolic one takes seconds and adds nothing.
            quant_pre_process(str(source), prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Rows(sample.calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=IMAGE_OPERATORS if PIXELS in sample.example else QUANTISED_OPERATORS,
                nodes_to_exclude=_products_of_activations(prepared),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options=FLOAT_RESULTS,
            )


def _products_of_activations(path: str) -> list[str]:
    """Names of the matrix products without a constant: `MatMulConstBOnly` is for another format than QDQ."""
    import onnx

    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and constants.isdisjoint(node.input)]


class _Rows:
    """Calibration rows as ONNX Runtime asks for them: one at a time, then None."""

    def __init__(self, rows: Sequence[Mapping[str, Tensor]]) -> None:
        self._rows: Iterator[Mapping[str, Tensor]] = iter(rows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self._rows, None)
        return None if row is None else {name: values.numpy() for name, values in row.items()}
