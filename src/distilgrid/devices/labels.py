"""How tables call the place of a measurement, and what the name of a runtime tells. Light."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from distilgrid.runtimes.base import Processor
from distilgrid.runtimes.registry import RUNTIMES

Kind = Literal["local", "adb", "import"]
NOISE = re.compile(r"\((?:R|TM|tm)\)|@.*$|\b\d+-Core\b|\b(?:CPU|Processor)\b")


def device_label(
    machine: Mapping[str, Any], *, threads: int, runtime: str | None, kind: Kind = "local", processor: Processor = "cpu"
) -> str:
    """The words for a device in tables: "AMD EPYC 7B13, 1 thread", "Pixel 8 (adb), 4 threads".

    The time that a runtime made for phones takes elsewhere is no phone's latency, and its label says so each time; that
    of an unknown runtime too, since it may be made for phones.

    Args:
        machine: what `benchmark.json` says of it: `cpu` and perhaps `gpu` of this machine; `name` and `phone` (whether
            it is a real phone or tablet) of others.
        threads: of one call; the label of a GPU leaves them out.
        runtime: what executes the model; None where a column shows several, none of them made for phones.
        kind: of the device.
        processor: what computes.
    """
    words = _name(machine, kind, processor)
    if processor == "cpu":
        words += f", {threads} thread{'s' if threads > 1 else ''}"
    if runtime is None or not _made_for_phones(runtime):
        return words
    if kind == "local":
        return f"{words}, host {'CPU' if processor == 'cpu' else 'GPU'}, not a phone"
    return words if machine.get("phone") else f"{words}, not a phone"


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
