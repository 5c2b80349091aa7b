"""Conversion to ONNX in fp32 and fp16, and operator counts before and after ONNX Runtime's fusions."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.runtimes.base import PIXELS, Execution, Graph, Sample
from distilgrid.runtimes.onnxruntime import LOGITS, MODEL_FILE, session_options
from distilgrid.runtimes.quiet import quiet
from distilgrid.runtimes.traceable import traceable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPSET = 17  # the first with LayerNormalization as one operator
FUSED = {
    "attention": ("Attention", "MultiHeadAttention", "QAttention"),
    "layer_norm": ("LayerNormalization", "SkipLayerNormalization", "EmbedLayerNormalization"),
    "gelu": ("Gelu", "BiasGelu", "FastGelu"),
}
COUNTED_ON_CPU = (
    "Judged and counted on the CPU provider: Casts that a GPU does not need, and numbers beyond fp16's range show only "
    "where they pass between operators."
)


class OnnxExporter:
    """Exports to ONNX in fp32."""

    files = (MODEL_FILE,)

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.onnx`, with a dynamic batch axis and, for texts, a dynamic length axis."""
        export_onnx(model, sample.example, folder / MODEL_FILE)

    def graph(self, folder: Path) -> Graph:
        """Operators of the file, and those after ONNX Runtime's fusions."""
        import onnxruntime as ort

        with tempfile.TemporaryDirectory() as scratch:
            options = session_options(Execution())
            options.optimized_model_filepath = str(Path(scratch) / MODEL_FILE)
            ort.InferenceSession(str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"])
            before, after = operators(folder / MODEL_FILE), operators(Path(scratch) / MODEL_FILE)
        return Graph(before, after, {block: sum(after.get(n, 0) for n in names) for block, names in FUSED.items()})


class RewritingExporter(OnnxExporter):
    """Exports to ONNX in fp32, and rewrites that file in another precision."""

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.onnx` in the exporter's precision."""
        with tempfile.TemporaryDirectory() as scratch:
            exact = Path(scratch) / "fp32.onnx"
            export_onnx(model, sample.example, exact)
            with quiet():  # the quantiser gives advice, which the parity gate makes needless
                self.rewrite(exact, folder / MODEL_FILE, sample)

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """Write the fp32 file `source` to `target` in another precision."""
        raise NotImplementedError


class HalfExporter(RewritingExporter):
    """Exports to ONNX with weights and activations in fp16, for GPUs. Inputs keep their types, and logits are fp32."""

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """Convert weights and activations to fp16, except in operators without an fp16 form.

        Numbers beyond fp16's range become its greatest, the mask of attention included: it stays far below every score.
        Numbers too small for fp16 become its least.
        """
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)

    def graph(self, folder: Path) -> Graph:
        """Operators of the file, and those after ONNX Runtime's fusions on a CPU."""
        return replace(super().graph(folder), note=COUNTED_ON_CPU)


def operators(path: Path) -> dict[str, int]:
    """Operator counts of an ONNX file, the most frequent first."""
    import onnx

    nodes = onnx.load(path, load_external_data=False).graph.node
    return dict(Counter(node.op_type for node in nodes).most_common())


def export_onnx(model: "PreTrainedModel", example: Mapping[str, Tensor], path: Path) -> None:
    """Write a classifier as ONNX: its inputs by name, and `logits` (B, C).

    Token inputs are (B, L) with both axes dynamic. Pixels are (B, channels, H, W) with a dynamic batch axis: an image
    model has one size, and a runtime plans better for known shapes.

    The tracing exporter (`dynamo=False`) suits these models: it takes about a second where the `torch.export` one takes
    four, gives the same logits, writes equal bytes for equal weights, and needs no onnxscript. ONNX Runtime fuses the
    result on load into LayerNormalization and BiasGelu. Its separate Attention fusion
    (`onnxruntime.transformers.optimizer`) was no faster at one thread in fp32, and slower in int8.
    """
    names = list(example)
    axes = {name: {0: "batch"} if name == PIXELS else {0: "batch", 1: "length"} for name in names}
    with quiet():
        torch.onnx.export(
            traceable(model, names),
            tuple(values.contiguous() for values in example.values()),
            str(path),
            dynamo=False,
            external_data=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[LOGITS],
            dynamic_axes={**axes, LOGITS: {0: "batch"}},
        )
