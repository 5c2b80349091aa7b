"""The table of runtimes. Light: a runtime's own modules are imported on first use.

To add a runtime, write `runtimes/<name>.py` with a `Load` and add a row here. A runtime with a file format also
needs `runtimes/<name>_export.py` with an `Exporter` (`distilgrid.runtimes.base` has both protocols). Another package
declares an entry point of the group `distilgrid.runtimes` instead, which names its `RuntimeEntry`.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.loading import load, load_instance, with_added
from distilgrid.runtimes.base import Exporter, Load, Processor, RunOptions, Session, UnsupportedError

if TYPE_CHECKING:
    from distilgrid.tasks.kind import TaskKind


@dataclass(frozen=True)
class RuntimeEntry:
    """One row of the table."""

    loads: str  # "module:name" of the `Load`
    exports: str = ""  # "module:class" of the `Exporter`; empty for a runtime of trained models
    exact: bool = True  # whether its outputs must stay within the parity gate's tolerance
    reference: bool = False  # whether the parity gate compares all others with it
    calibrated: bool = False  # whether the conversion reads `dev` rows, and so depends on the data
    packages: tuple[str, ...] = ()  # modules that loading and running need in addition to the core
    converters: tuple[str, ...] = ()  # further modules that conversion needs, on the machine that exports
    extra: str = ""  # the optional dependency group with all these modules
    processors: tuple[Processor, ...] = ("cpu",)  # those that it supports; the parity gate judges on a CPU
    graph: bool = False  # whether it can run with and without rewriting the graph
    mobile: bool = False  # whether it is made for phones: its latency on another processor is not a phone's
    bare: bool = False  # whether exports are ONNX files, which ONNX Runtime runs without this package
    refuses: Mapping[str, str] = field(default_factory=dict)  # reasons against modalities of kinds, and processors

    @property
    def exported(self) -> bool:
        """Whether it runs exports; otherwise it runs the trained model's folder."""
        return bool(self.exports)

    def refusal(self, kind: "TaskKind") -> str | None:
        """The reason why it takes no models of a kind, if any."""
        return self.refuses.get(kind.modality)


BOTH: tuple[Processor, ...] = ("cpu", "cuda")
DYNAMIC_ONLY = "dynamic quantisation leaves convolutions in fp32; onnxruntime-int8-static quantises them"
HALF_ON_CPU = "ONNX Runtime's CPU provider has few fp16 kernels: it would compute in fp32, and cast before and after"


def _row(loads: str, exports: str = "", **facts: Any) -> RuntimeEntry:
    package = "distilgrid.runtimes"
    return RuntimeEntry(f"{package}.{loads}", exports and f"{package}.{exports}", **facts)


def _onnx(exporter: str, **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("onnxruntime",), "converters": ("onnx",), "extra": "onnx"}
    return _row("onnxruntime:OnnxSession", f"onnx_export:{exporter}", graph=True, bare=True, **needs, **facts)


def _openvino(loader: str, exporter: str, **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("openvino",), "extra": "openvino"}
    return _row(f"openvino:{loader}", f"openvino_export:{exporter}", **needs, **facts)


def _executorch(exporter: str, **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("executorch",), "converters": ("torchao",), "extra": "executorch"}
    return _row("executorch:ExecuTorchSession", f"executorch_export:{exporter}", mobile=True, **needs, **facts)


def _litert(exporter: str, *quantiser: str, **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("ai_edge_litert",), "converters": ("litert_torch", *quantiser), "extra": "litert"}
    return _row("litert:LiteRTSession", f"litert_export:{exporter}", mobile=True, graph=True, **needs, **facts)


OWN_RUNTIMES = {
    "torch-eager-fp32": _row("torch_eager:load_exact", processors=BOTH, reference=True),
    "torch-eager-bf16": _row("torch_eager:load_bf16", processors=BOTH, exact=False),
    "torch-compile-fp32": _row("torch_compile:TorchCompileSession", processors=BOTH),
    "onnxruntime-fp32": _onnx("OnnxExporter", processors=BOTH),
    "onnxruntime-fp16": _onnx("HalfExporter", exact=False, processors=("cuda",), refuses={"cpu": HALF_ON_CPU}),
    "onnxruntime-int8": _onnx("DynamicInt8Exporter", exact=False, refuses={"image": DYNAMIC_ONLY}),
    "onnxruntime-int8-static": _onnx("StaticInt8Exporter", exact=False, calibrated=True),
    "openvino-fp32": _openvino("OpenVinoSession", "OpenVinoExporter"),
    "openvino-bf16": _openvino("OpenVinoBf16Session", "OpenVinoBf16Exporter", exact=False),
    "openvino-int8": _openvino(
        "OpenVinoSession", "OpenVinoInt8Exporter", converters=("nncf",), exact=False, calibrated=True
    ),
    "executorch-fp32": _executorch("ExecuTorchExporter"),
    "executorch-int8": _executorch("ExecuTorchInt8Exporter", exact=False, calibrated=True),
    "litert-fp32": _litert("LiteRTExporter"),
    "litert-int8": _litert("LiteRTInt8Exporter", "ai_edge_quantizer", exact=False, calibrated=True),
}

_added = with_added("distilgrid.runtimes", dict.fromkeys(OWN_RUNTIMES, ""))
RUNTIMES: dict[str, RuntimeEntry] = {
    name: load_instance(f"runtime '{name}'", target, RuntimeEntry) if target else OWN_RUNTIMES[name]
    for name, target in _added.items()
}

REFERENCE = next(name for name, entry in RUNTIMES.items() if entry.reference)


def find_runtime(name: str) -> RuntimeEntry:
    """A row by its name; UserError with a suggestion for an unknown one."""
    if name not in RUNTIMES:
        raise UserError(f"unknown runtime '{name}'; {did_you_mean(name, RUNTIMES)}")
    return RUNTIMES[name]


def is_exact(name: str) -> bool:
    """Whether a runtime's models score as torch's do. An imported engine outside the table may not."""
    return name in RUNTIMES and RUNTIMES[name].exact


def runs_trained(name: str) -> bool:
    """Whether a runtime runs the trained model's folder. An imported engine outside the table does not."""
    return name in RUNTIMES and not RUNTIMES[name].exported


def open_runtime(name: str, *, judging: bool = False) -> Load:
    """The loader of a runtime, which refuses processors and options that the table does not grant.

    `judging` permits any processor, since the parity gate judges on a CPU. Raises UserError for an unknown name, or
    without the packages that loading needs.
    """
    entry = find_runtime(name)
    loads: Load = _imported(name, entry.loads, entry.packages)

    def checked(folder: Path, how: RunOptions) -> Session:
        if not judging and how.processor not in entry.processors:
            only = f"runs on a {' or '.join(entry.processors).upper()} only"
            raise UnsupportedError(entry.refuses.get(how.processor, only))
        if not how.optimised and not entry.graph:
            raise UnsupportedError("cannot run without rewriting the graph")
        return loads(folder, how)

    return checked


def open_exporter(name: str) -> Exporter:
    """The exporter of a runtime. Raises UserError as `open_runtime`, also without the converter's packages."""
    entry = find_runtime(name)
    exporter: Exporter = _imported(name, entry.exports, entry.packages + entry.converters)()
    return exporter


def missing_packages(packages: Sequence[str]) -> list[str]:
    """The modules among `packages` that are not installed."""
    return [package for package in packages if importlib.util.find_spec(package) is None]


def lacking(name: str, packages: Sequence[str] | None = None) -> list[str]:
    """A complaint about the `packages` of a runtime, by default all of its own, that are not installed; else none."""
    entry = find_runtime(name)
    missing = missing_packages(entry.packages + entry.converters if packages is None else packages)
    if not missing:
        return []
    return [f"runtime '{name}' needs {' and '.join(missing)}: pip install 'distilgrid[{entry.extra}]'"]


def _imported(name: str, target: str, packages: Sequence[str]) -> Any:
    for problem in lacking(name, packages):
        raise UserError(problem)
    return load(target)
