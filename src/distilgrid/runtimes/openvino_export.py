"""Conversion to OpenVINO's IR in fp32 and int8, and counts of the operators that OpenVINO runs."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.runtimes.base import Graph, RunOptions, Sample, UnsupportedError, counted
from distilgrid.runtimes.guards import quiet
from distilgrid.runtimes.openvino import MODEL_FILE, WEIGHTS_FILE, compiled, opened, ov, reason
from distilgrid.runtimes.traceable import traceable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOGITS = "logits"
NO_WORK = ("Const", "Constant", "Input", "Output", "Parameter", "Result")
HEAVY = ("Convolution", "FullyConnected", "MatMul")
NOTE = (
    "The file is written fused. MVN is the normalisation of a layer norm; its scale and shift, "
    "activations and additions often run inside the operator before them and are not counted then. "
    "Subgraph is code generated for a chain of operators."
)


class OpenVinoExporter:
    """Exports to IR in fp32."""

    files = (WEIGHTS_FILE, MODEL_FILE)
    precision = "f32"

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.xml` and `model.bin`, with a dynamic batch axis and, for texts, a dynamic length axis."""
        save(converted(model, sample), folder)

    def graph(self, folder: Path) -> Graph:
        """Operators of the file, and those that OpenVINO runs on this machine."""
        source = opened()[0].read_model(str(folder / MODEL_FILE)).get_ops()
        executed = compiled(folder, RunOptions(), precision=self.precision).get_runtime_model().get_ops()
        heavy = counted(_told(node, "runtimePrecision") for node in executed if _told(node, "layerType") in HEAVY)
        listed = ", ".join(f"{count} in {kind}" for kind, count in heavy.items()) or "none"
        return Graph(
            before=counted(kind for node in source if (kind := node.get_type_name()) not in NO_WORK),
            after=counted(kind for node in executed if (kind := _told(node, "layerType")) not in NO_WORK),
            fused=_fused(source, executed),
            note=f"{NOTE} Matrix products and convolutions by precision: {listed}.",
        )


class OpenVinoBf16Exporter(OpenVinoExporter):
    """Exports the same files; the loader chooses bf16."""

    precision = "bf16"


class OpenVinoInt8Exporter(OpenVinoExporter):
    """Exports to IR with matrix products and convolutions in int8; NNCF chooses the ranges. The rest stays in fp32."""

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.xml` and `model.bin` in int8.

        The result depends on the calibration rows alone. Weights have one scale per output channel, and use half of the
        range of int8. With all of it, sums of two products saturate on x86 CPUs without VNNI (avx512_vnni, avx_vnni).
        There a model would agree with torch less often than on the CPU that judged it. Raises ValueError without
        calibration rows.
        """
        if not sample.calibration:
            raise ValueError("int8 needs calibration rows")
        rows = [{name: values.numpy() for name, values in row.items()} for row in sample.calibration]
        exact = converted(model, sample)
        with quiet():
            import nncf  # after OpenVINO, so that it sends no telemetry

            # NNCF knows attention: its softmax stays in fp32, and outliers of activations move into the weights.
            kind = nncf.ModelType.TRANSFORMER if sample.longest else None
            with contextlib.redirect_stdout(io.StringIO()):  # progress bars, wherever standard output goes
                how = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
                given = {"model_type": kind, "subset_size": len(rows), "advanced_parameters": how}
                quantised = nncf.quantize(exact, nncf.Dataset(rows), **given)
        save(quantised, folder)


def converted(model: "PreTrainedModel", sample: Sample) -> Any:
    """A classifier as OpenVINO's Model: its inputs by name, and `logits` (B, ...).

    Token inputs are (B, L) with both axes dynamic; pixels are (B, channels, H, W) with a dynamic batch axis.

    OpenVINO reads torch modules directly: that needs no ONNX packages, and gives equal weights for equal models. A way
    over ONNX takes as long, half a second, and its logits are as close to torch's, within 3e-6. ONNX files read
    without conversion run with 14 transpositions where these run with 2.

    Raises UnsupportedError when OpenVINO lacks a rule for one of the model's operators, RuntimeError when the model
    cannot be traced.
    """
    names = list(sample.example)
    axes = sample.axes()
    shapes = [[-1 if n in axes else size for n, size in enumerate(v.shape)] for v in sample.example.values()]
    try:
        with quiet():
            result = ov.convert_model(
                traceable(model, names),
                example_input=tuple(values.contiguous() for values in sample.example.values()),
                input=[ov.PartialShape(shape) for shape in shapes],
            )
    except ov.frontend.OpConversionFailure as error:
        raise UnsupportedError(f"OpenVINO cannot convert the model: {reason(error)}") from error
    except RuntimeError as error:
        raise RuntimeError(reason(error)) from error
    for name, port in zip(names, result.inputs, strict=True):
        port.get_tensor().set_names({name})
    result.outputs[0].get_tensor().set_names({LOGITS})
    return result


def save(model: Any, folder: Path) -> None:
    """Write `model.xml` and `model.bin`. New names by number give equal bytes for equal models."""
    model.set_friendly_name("model")
    for number, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}.{number}")
    for port in model.inputs:
        port.get_node().set_friendly_name(port.get_any_name())
    ov.save_model(model, str(folder / MODEL_FILE), compress_to_fp16=False)


def _told(node: Any, what: str) -> str:
    """A fact that OpenVINO attaches to an executed operator."""
    fact: str = node.get_rt_info()[what].astype(str)
    return fact


def _fused(source: list[Any], executed: list[Any]) -> dict[str, int]:
    """Number of blocks that run as one operator or as a part of one. Operators name those that they replace."""
    parts = [(_told(node, "layerType"), set(_told(node, "originalLayersNames").split(","))) for node in executed]
    whole = "ScaledDotProductAttention"
    attention, gelu = ({n.get_friendly_name() for n in source if n.get_type_name() == kind} for kind in (whole, "Gelu"))
    # The name of generated code is that of the last product: it is attention only if it holds the softmax.
    attending = (
        kind == whole or (kind == "Subgraph" and any(n.startswith("Softmax") for n in names))
        for kind, names in parts
        if attention & names
    )
    return {
        "attention": sum(attending),
        "layer_norm": sum(kind == "MVN" for kind, _ in parts),
        "gelu": sum(len(gelu & names) for _, names in parts),
    }
