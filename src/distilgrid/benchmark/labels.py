"""Names of measurements and devices in tables, and precisions from names of runtimes. Light."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from distilgrid.runtimes.base import IMAGE_LENGTH, Processor
from distilgrid.runtimes.registry import RUNTIMES

Kind = Literal["local", "adb", "import"]
NOISE = re.compile(r"\((?:R|TM|tm)\)|@.*$|\b\d+-Core\b|\b(?:CPU|Processor)\b")


def device_label(
    machine: Mapping[str, Any], *, threads: int, kind: Kind = "local", processor: Processor = "cpu"
) -> str:
    """The name of a device in tables: "AMD EPYC 7B13, 1 thread", "Pixel 8 (adb), 4 threads".

    `machine` is that of `benchmark.json`: `cpu` and perhaps `gpu` of this machine, `name` of others. The label of a GPU
    leaves the threads out.
    """
    words = _name(machine, kind, processor)
    return words if processor == "cuda" else f"{words}, {threads} thread{'s' if threads > 1 else ''}"


def processor_of(benchmark: Mapping[str, Any]) -> Processor:
    """The processor of a `benchmark.json`; an import names it under `machine`."""
    found: Processor = benchmark.get("processor") or benchmark["machine"].get("processor", "cpu")
    return found


def throughput(batch_size: int, milliseconds: float) -> float:
    """Inputs per second of successive calls."""
    return 1e3 * batch_size / milliseconds


def phone_note(machine: Mapping[str, Any], *, runtime: str, kind: Kind = "local") -> str:
    """The note next to a time that a runtime made for phones took elsewhere; such a time says nothing about a phone.

    Empty on a phone (`phone` of `machine`) and for other runtimes; an unknown runtime may be made for phones.
    """
    made_for_phones = runtime not in RUNTIMES or RUNTIMES[runtime].mobile
    if not made_for_phones or (kind != "local" and machine.get("phone")):
        return ""
    return "host CPU, not a phone" if kind == "local" else "not a phone"


def low_precision(machine: Mapping[str, Any]) -> str:
    """The processor's features for int8 and bf16; unknown if nobody recorded any."""
    flags = machine.get("flags")
    return f"features for low precision: {'unknown' if flags is None else ', '.join(flags) or 'none'}"


def shape_words(shape: Mapping[str, Any]) -> str:
    """A shape in words; one without a batch size stands for all shapes with its threads."""
    parts = [f"{shape['threads']} thread{'s' if shape['threads'] > 1 else ''}"]
    if shape.get("kind") in ("texts", "text-to-label"):
        parts.append(shape["kind"])
    elif shape.get("batch_size"):
        parts.append(f"batch {shape['batch_size']}")
        parts += [f"length {shape['length']}"] if (shape["length"] or 0) > IMAGE_LENGTH else []
    return ", ".join(parts)


def _name(machine: Mapping[str, Any], kind: Kind, processor: Processor) -> str:
    if kind != "local":
        return f"{machine['name']} ({'adb' if kind == 'adb' else 'imported'})"
    name = machine.get("gpu", "CUDA GPU") if processor == "cuda" else machine["cpu"]
    return " ".join(NOISE.sub(" ", str(name)).split())


def precision_of(runtime: str) -> str:
    """`fp32` of onnxruntime-fp32, `int8` of onnxruntime-int8-static; fp32 for a name without a precision."""
    return next(iter(named_precisions(runtime)), "fp32")


def named_precisions(runtime: str) -> list[str]:
    """The precisions in a runtime's name."""
    return [part for part in runtime.split("-") if re.fullmatch(r"(fp|bf|int)\d+", part)]
