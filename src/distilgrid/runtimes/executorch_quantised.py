"""Quantised ExecuTorch files: int8 weights; activations scaled at run time for texts, in advance for images."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distilgrid.runtimes.base import PIXELS, Sample
from distilgrid.runtimes.executorch_export import ExecuTorchExporter, shapes

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule


class ExecuTorchInt8Exporter(ExecuTorchExporter):
    """Exports to ExecuTorch with int8 weights, one scale per output channel.

    Texts: XNNPACK scales the activations of linear layers for each token at run time. With ranges chosen in
    advance the logits of small random models were off twice as far. Layer norm, softmax and attention between the
    linear layers stay in fp32 either way. Embedding tables, most of a small model's bytes, are int8 too, read by one
    kernel.

    Images: XNNPACK lacks a convolution that scales at run time, so ranges come from the calibration rows. Convolutions,
    additions and the linear layer are int8.
    """

    def prepared(self, program: "ExportedProgram", row: tuple[Tensor, ...], sample: Sample) -> "ExportedProgram":
        """The quantised program, traced again."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        images = PIXELS in sample.example
        observed = prepare_pt2e(program.module(), _quantiser(dynamic=not images))
        with torch.inference_mode():  # any row of texts does, as only the weights are observed
            for inputs in [(values[PIXELS],) for values in sample.calibration] if images else [row]:
                observed(*inputs)
        return torch.export.export(convert_pt2e(observed), row, dynamic_shapes=shapes(sample))


def _quantiser(*, dynamic: bool) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantizer import ComposableQuantizer
    from torchao.quantization.pt2e.quantizer.embedding_quantizer import EmbeddingQuantizer

    class LinearLayers(XNNPACKQuantizer):
        def transform_for_annotation(self, model: "GraphModule") -> "GraphModule":
            """Keep scalars: as fp32 tensors, integers that are added to positions could not serve as indices."""
            return model

    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
    if not dynamic:
        return XNNPACKQuantizer().set_global(config)
    return ComposableQuantizer([EmbeddingQuantizer(), LinearLayers().set_global(config)])
