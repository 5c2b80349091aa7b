"""Quantised LiteRT files: int8 weights; activations scaled at run time for texts, in advance for images."""

from typing import Any

from distilgrid.runtimes.base import PIXELS, Sample
from distilgrid.runtimes.litert_export import LiteRTExporter, signatures


class LiteRTInt8Exporter(LiteRTExporter):
    """Exports to LiteRT with int8 weights, one scale per output channel.

    Texts: XNNPACK scales the activations of fully connected layers for each token at run time and multiplies in int8.
    Ranges chosen in advance would quantise layer norm, softmax and attention too. Embedding tables are int8 as well.

    Images: ranges come from the calibration rows, and every operator is int8; logits are scaled back to fp32.
    """

    def prepared(self, content: bytes, sample: Sample) -> bytes:
        """The quantised file."""
        from ai_edge_quantizer import qtyping, quantizer, recipe
        from ai_edge_quantizer.algorithm_manager import AlgorithmName

        if PIXELS not in sample.example:
            return _bytes(quantizer.Quantizer(content, recipe.dynamic_wi8_afp32()).quantize())
        tool = quantizer.Quantizer(content, recipe.static_wi8_ai8())
        kept_float = {"operation_name": qtyping.TFLOperationName.OUTPUT, "algorithm_key": AlgorithmName.NO_QUANTIZE}
        tool.update_quantization_recipe(regex=".*", **kept_float)
        (name,) = signatures(sample)
        rows = [{"args_0": row[PIXELS].contiguous().numpy()} for row in sample.calibration]
        return _bytes(tool.quantize(tool.calibrate({name: rows})))


def _bytes(result: Any) -> bytes:
    return bytes(result.quantized_model)
