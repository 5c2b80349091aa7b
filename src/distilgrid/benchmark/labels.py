"""How tables call a measurement and its place, and what the name of a runtime tells. Light."""

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
    """The words for a device in tables: "AMD EPYC 7B13, 1 thread", "Pixel 8 (adb), 4 threads".

    Args:
        machine: what `benchmark.json` says of it: `cpu` and perhaps `gpu` of this machine, `name` of others.
        threads: of one call; the label of a GPU leaves them out.
        kind: of the device.
        processor: what computes.
    """
    words = _name(machine, kind, processor)
    return words if processor == "cuda" else f"{words}, {threads} thread{'s' if threads > 1 else ''}"


def processor_of(benchmark: Mapping[str, Any]) -> Processor:
    """What computed in a `benchmark.json`; an import says it of its machine."""
    found: Processor = benchmark.get("processor") or benchmark["machine"].get("processor", "cpu")
    return found


def throughput(batch_size: int, milliseconds: float) -> float:
    """Inputs per second of calls that follow one another."""
    return 1e3 * batch_size / milliseconds


def phone_note(machine: Mapping[str, Any], *, runtime: str, kind: Kind = "local") -> str:
    """What stands beside the time that a runtime made for phones took elsewhere, which is no phone's latency.

    Empty on a phone and for other runtimes; not for unknown ones, which may be made for phones.

    Args:
        machine: what `benchmark.json` says of it: `phone`, whether it is a real phone or tablet.
        runtime: what executes the model.
        kind: of the device.
    """
    if not _made_for_phones(runtime) or (kind != "local" and machine.get("phone")):
        return ""
    return "host CPU, not a phone" if kind == "local" else "not a phone"


def low_precision(machine: Mapping[str, Any]) -> str:
    """What int8 and bf16 depend on: the processor's features for them, unknown where nobody recorded any."""
    flags = machine.get("flags")
    return f"features for low precision: {'unknown' if flags is None else ', '.join(flags) or 'none'}"


def shape_words(shape: Mapping[str, Any]) -> str:
    """A measured or skipped shape in words; one without a batch size stands for all with its threads."""
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


def _made_for_phones(runtime: str) -> bool:
    return runtime not in RUNTIMES or RUNTIMES[runtime].mobile


def precision_of(runtime: str) -> str:
    """`fp32` of onnxruntime-fp32, `int8` of onnxruntime-int8-static; fp32 where the name says none."""
    return next(iter(named_precisions(runtime)), "fp32")


def named_precisions(runtime: str) -> list[str]:
    """The precisions that a runtime's name says, if any."""
    return [part for part in runtime.split("-") if re.fullmatch(r"(fp|bf|int)\d+", part)]


def runtime_name(runtime: str, precision: str) -> str:
    """A runtime's name with its precision, as the registry writes them."""
    return runtime if precision in runtime.split("-") else f"{runtime}-{precision}"
