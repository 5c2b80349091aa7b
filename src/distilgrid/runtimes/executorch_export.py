"""Conversion to ExecuTorch in fp32 and int8; refuses models that its fast kernels do not take."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distilgrid.core.artefacts import read_json, write_json
from distilgrid.runtimes.base import Graph, Sample, UnsupportedError, counted
from distilgrid.runtimes.executorch import FACTS_FILE, MODEL_FILE
from distilgrid.runtimes.guards import quiet
from distilgrid.runtimes.traceable import traceable

if TYPE_CHECKING:
    from executorch.exir import EdgeProgramManager
    from torch.export import ExportedProgram
    from torch.fx import GraphModule
    from transformers import PreTrainedModel

DELEGATE = "XnnpackBackend"
HEAVY = ("linear", "addmm", "mm", "bmm", "convolution")
"""Operators with nearly all arithmetic. In ExecuTorch's portable kernels a 4-layer model ran 20 to 30 times slower."""
NO_WORK = ("getitem", "sym_size")


class ExecuTorchExporter:
    """Exports to ExecuTorch in fp32, for XNNPACK.

    The length of texts is dynamic up to the longest, as fast as a file for one length. The batch is one row:
    `ExecuTorchSession` says why. Equal weights give equal bytes.
    """

    files = (MODEL_FILE, FACTS_FILE)

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.pte`, and `model.json` with its inputs and operators."""
        names = list(sample.example)
        row = tuple(values[:1].contiguous() for values in sample.example.values())
        with quiet():
            traced = torch.export.export(traceable(model, names), row, dynamic_shapes=_arguments(sample))
            program = self.prepared(traced, row, sample)
            edge = lowered(program)
            facts = {"inputs": names, "graph": asdict(_graph(program, edge))}
            content = edge.to_executorch().buffer
        (folder / MODEL_FILE).write_bytes(content)
        write_json(folder / FACTS_FILE, facts)

    def graph(self, folder: Path) -> Graph:
        """Operators at the conversion: the file hides those inside of delegates."""
        return Graph(**read_json(folder / FACTS_FILE)["graph"])

    def prepared(self, program: "ExportedProgram", row: tuple[Tensor, ...], sample: Sample) -> "ExportedProgram":
        """The program to lower; subclasses quantise it."""
        return program


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

        images = sample.longest is None
        observed = prepare_pt2e(program.module(), _quantiser(dynamic=not images))
        with torch.inference_mode():  # any row of texts does, as only the weights are observed
            for inputs in [tuple(values.values()) for values in sample.calibration] if images else [row]:
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


def shapes(sample: Sample) -> tuple[dict[int, Any] | None, ...]:
    """For each input, the axes that vary."""
    if sample.longest is None:
        return (None,)
    return tuple({1: torch.export.Dim.DYNAMIC(min=1, max=sample.longest)} for _ in sample.example)


def _arguments(sample: Sample) -> tuple[Any, ...]:
    """Axes in the form of the inputs of `traceable`: one image tensor, or any number of texts' tensors."""
    return shapes(sample) if sample.longest is None else (shapes(sample),)


def partitioners() -> list[Any]:
    """Partitioners, which choose the operators of XNNPACK."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return [XnnpackPartitioner()]


def lowered(program: "ExportedProgram") -> "EdgeProgramManager":
    """Hand a program's operators to XNNPACK."""
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from executorch.exir.passes.quant_fusion_pass import QuantFusionPass

    # The pass below turns each quantised embedding into one operator; before it they fail the check of core operators.
    unchecked = EdgeCompileConfig(_check_ir_validity=False)
    edge = to_edge_transform_and_lower(program, partitioner=partitioners(), compile_config=unchecked)
    return edge.transform([QuantFusionPass(_fix_node_meta_val=True)])


def _short(name: str) -> str:
    """Short name of an operator: aten_linear_default -> linear."""
    return name.removeprefix("aten_").removesuffix("_default")


def _graph(program: "ExportedProgram", edge: "EdgeProgramManager") -> Graph:
    """Operator counts. Raises UnsupportedError if XNNPACK leaves matrix products or convolutions."""
    from executorch.devtools.backend_debug import get_delegation_info

    before = counted(str(node.target) for node in program.graph.nodes if node.op == "call_function")
    delegation = get_delegation_info(edge.exported_program().graph_module)
    each = {name: n for name, n in delegation.delegation_by_operator.items() if name not in NO_WORK}
    outside = Counter({_short(name): n.non_delegated for name, n in each.items() if n.non_delegated})
    inside = Counter({_short(name): n.delegated for name, n in each.items() if n.delegated})
    left = ", ".join(f"{outside[name]} {name}" for name in HEAVY if outside[name])
    if left or not any(inside[name] for name in HEAVY):
        left = left or "every matrix product"
        raise UnsupportedError(
            f"XNNPACK left {left} to ExecuTorch's portable kernels, not made for speed: a latency would mislead"
        )
    delegates = delegation.num_delegated_subgraphs
    taken = ", ".join(f"{count} {name}" for name, count in inside.most_common())
    return Graph(
        before={name: count for name, count in before.items() if "getitem" not in name},
        after={DELEGATE: delegates, **dict(outside.most_common())},
        fused={"attention": 0, "layer_norm": outside["native_layer_norm"], "gelu": inside["gelu"] + outside["gelu"]},
        note=f"counted at the conversion; in {delegates} delegates XNNPACK runs {taken}; ExecuTorch's kernels the rest",
    )
