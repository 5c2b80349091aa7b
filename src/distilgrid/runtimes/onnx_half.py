"""ONNX Runtime in fp16, for GPUs: half the bytes, and the arithmetic that their matrix units are made for."""

from dataclasses import replace
from pathlib import Path

from distilgrid.runtimes.base import Graph, Sample
from distilgrid.runtimes.onnx_export import RewritingExporter

COUNTED_ON_CPU = (
    "Judged and counted on the CPU provider: Casts that a GPU does not need, and numbers beyond fp16's range show only "
    "where they pass between operators."
)


class HalfExporter(RewritingExporter):
    """Exports to ONNX with weights and activations in fp16. Inputs keep their types, and logits are fp32."""

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
