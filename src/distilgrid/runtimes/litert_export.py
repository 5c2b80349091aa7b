"""Conversion to LiteRT in fp32 and int8, and counts of the operators that XNNPACK takes."""

from collections.abc import Mapping
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distilgrid.core.artefacts import write_json
from distilgrid.runtimes.base import Graph, Sample, counted, fused_blocks
from distilgrid.runtimes.guards import quiet
from distilgrid.runtimes.litert import FACTS_FILE, MODEL_FILE
from distilgrid.runtimes.traceable import traceable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHORTEST = 16
DELEGATE = "DELEGATE"
FUSED = {"attention": (), "layer_norm": (), "gelu": ("GELU",)}


class LiteRTExporter:
    """Exports to LiteRT in fp32.

    The converter refuses dynamic shapes of these models (litert-torch 0.10 fails on the attention mask's), so each
    length has a separate signature; the file holds the weights once. Inputs of texts are int32. Equal weights give
    equal bytes.
    """

    files = (MODEL_FILE, FACTS_FILE)

    def export(self, model: "PreTrainedModel", sample: Sample, folder: Path) -> None:
        """Write `model.tflite`, and `model.json` with its inputs and their padding values."""
        names = list(sample.example)
        with quiet():
            content = self.prepared(_converted(model, sample), sample)
        padding = dict.fromkeys(names, 0) | {"input_ids": getattr(model.config, "pad_token_id", None) or 0}
        facts = {"inputs": names, "padding": {name: padding[name] for name in names}}
        (folder / MODEL_FILE).write_bytes(content)
        write_json(folder / FACTS_FILE, facts)

    def graph(self, folder: Path) -> Graph:
        """Operators of the shortest signature, and those that XNNPACK leaves."""
        from ai_edge_litert.interpreter import Interpreter

        with quiet():
            interpreter = Interpreter(model_path=str(folder / MODEL_FILE), num_threads=1)
            interpreter.allocate_tensors()
            nodes = interpreter._get_ops_details()
        before = [node for node in nodes if node["op_name"] != DELEGATE]
        delegates = [node for node in nodes if node["op_name"] == DELEGATE]
        taken: set[int] = set().union(*(_partition(before, delegate) for delegate in delegates))
        left = [node["op_name"] for node in before if node["index"] not in taken]
        counts = counted(node["op_name"] for node in before)
        return Graph(
            before=counts,
            after=counted([*left, *["XNNPACK"] * len(delegates)]),
            fused=fused_blocks(counts, FUSED),
            note=f"of one length; XNNPACK runs {len(taken)} of {len(before)} operators in {len(delegates)} parts",
        )

    def prepared(self, content: bytes, sample: Sample) -> bytes:
        """The file to write; subclasses quantise it."""
        return content


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

        if sample.longest is not None:
            return bytes(quantizer.Quantizer(content, recipe.dynamic_wi8_afp32()).quantize().quantized_model)
        tool = quantizer.Quantizer(content, recipe.static_wi8_ai8())
        kept_float = {"operation_name": qtyping.TFLOperationName.OUTPUT, "algorithm_key": AlgorithmName.NO_QUANTIZE}
        tool.update_quantization_recipe(regex=".*", **kept_float)
        (name,) = signatures(sample)
        rows = [{"args_0": pixels.contiguous().numpy()} for row in sample.calibration for pixels in row.values()]
        return bytes(tool.quantize(tool.calibrate({name: rows})).quantized_model)


def lengths(longest: int) -> list[int]:
    """The lengths that texts are padded to: powers of two, and the longest."""
    powers = takewhile(lambda length: length < longest, (SHORTEST << number for number in count()))
    return [*powers, longest]


def signatures(sample: Sample) -> dict[str, tuple[Tensor, ...]]:
    """Inputs of one row for each signature, by its name."""
    if sample.longest is None:
        return {"image": tuple(pixels[:1].contiguous() for pixels in sample.example.values())}
    return {
        f"length_{length}": tuple(torch.ones((1, length), dtype=torch.int64) for _ in sample.example)
        for length in lengths(sample.longest)
    }


def _converted(model: "PreTrainedModel", sample: Sample) -> bytes:
    import litert_torch

    converter, module = litert_torch.Converter(), traceable(model, list(sample.example))
    for name, inputs in signatures(sample).items():
        converter.signature(name, module, inputs)
    content: bytes = converter.convert().model_content()
    return content


def _partition(nodes: list[dict[str, Any]], delegate: Mapping[str, Any]) -> set[int]:
    """Numbers of the nodes that a delegate stands for: all between its inputs and its outputs."""
    producers = {tensor: node for node in nodes for tensor in node["outputs"]}
    found: set[int] = set()
    stop, wanted = set(delegate["inputs"]), list(delegate["outputs"])
    while wanted:
        tensor = wanted.pop()
        node = producers.get(tensor)
        if tensor not in stop and node is not None and node["index"] not in found:
            found.add(node["index"])
            wanted.extend(node["inputs"])
    return found
