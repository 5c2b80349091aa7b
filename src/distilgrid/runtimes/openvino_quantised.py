"""Quantised IR: int8 weights and activations; NNCF chooses their ranges on calibration rows."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.models.image_model import ImageModel
from distilgrid.runtimes.base import Sample
from distilgrid.runtimes.openvino_export import OpenVinoExporter, converted, save
from distilgrid.runtimes.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class OpenVinoInt8Exporter(OpenVinoExporter):
    """Exports to IR with matrix products and convolutions in int8; the rest stays in fp32."""

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.xml` and `model.bin` in int8.

        The result depends on the calibration rows alone. Weights have one scale per output channel, and use half of the
        range of int8. With all of it, sums of two products saturate on x86 CPUs without VNNI (avx512_vnni, avx_vnni),
        where a model would agree with torch less often than on the CPU that judged it.

        Raises:
            UnsupportedError: when OpenVINO lacks a rule for one of the model's operators.
            ValueError: without calibration rows.
        """
        if not sample.calibration:
            raise ValueError("int8 needs calibration rows")
        rows = [{name: values.numpy() for name, values in row.items()} for row in sample.calibration]
        exact = converted(model, sample)
        with quiet():
            import nncf  # after OpenVINO, so that it sends no telemetry

            # NNCF knows attention: its softmax stays in fp32, and outliers of activations move into the weights.
            kind = None if isinstance(model, ImageModel) else nncf.ModelType.TRANSFORMER
            with contextlib.redirect_stdout(io.StringIO()):  # progress bars, wherever standard output goes
                how = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
                given = {"model_type": kind, "subset_size": len(rows), "advanced_parameters": how}
                quantised = nncf.quantize(exact, nncf.Dataset(rows), **given)
        save(quantised, folder)
