"""ONNX Runtime in fp16, for GPUs: half the bytes, and the arithmetic that their matrix units are made for."""

from dataclasses import replace
from pathlib import Path

from distilgrid.runtimes.base import Graph, Sample
from distilgrid.runtimes.onnx_export import RewritingExporter, quiet

COUNTED_ON_CPU = (
    "Judged and counted on the CPU provider: Casts that a GPU does not need, and numbers beyond fp16's range show only "
    "where they pass between operators."
)


class HalfExporter(RewritingExporter):
    """Exports to ONNX with weights and activations in fp16; inputs stay as they are, and logits fp32."""

    def rewrite(self, source: Path, target: Path, sample: Sample) -> None:
        """See `halve`."""
        halve(source, target)

    def graph(self, folder: Path) -> Graph:
        """Operators of the file, and after ONNX Runtime's own fusions on a CPU."""
        return replace(super().graph(folder), note=COUNTED_ON_CPU)


def halve(source: Path, target: Path) -> None:
    """Convert all weights and activations of a model to fp16, except in operators that have no fp16 form.

    Numbers out of fp16's range become its greatest: so does the one that masks attention, which is still far below
    every score. Numbers too small for fp16 become its least.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)
