"""The table of runtimes. Light: a runtime's own modules are imported on first use.

To add a runtime, write `runtimes/<name>.py` with a `Runtime` and add a row here. A runtime with a file format also
needs `runtimes/<name>_export.py` with an `Exporter` (`distilgrid.runtimes.base` has both protocols). Another package
declares an entry point of the group `distilgrid.runtimes` instead, which names its `RuntimeEntry`.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.loading import load, load_instance, with_added
from distilgrid.runtimes.base import Exporter, Processor, Runtime

if TYPE_CHECKING:
    from distilgrid.tasks.kind import TaskKind


@dataclass(frozen=True)
class RuntimeEntry:
    """One row of the table.

    Attributes:
        loads: "module:class" of the `Runtime`.
        exports: "module:class" of the `Exporter`; empty for a runtime of trained models.
        judges: "module:class" of the `Runtime` of the parity gate, on a CPU; empty if that is `loads`.
        exact: whether its logits must stay within the parity gate's tolerance.
        reference: whether the parity gate compares all others with it.
        calibrated: whether the conversion reads `dev` rows, and so depends on the data.
        packages: modules that loading and running need in addition to the core.
        converters: further modules that conversion needs, on the machine that exports.
        extra: the optional dependency group with all these modules.
        processors: the processors that it supports.
        graph: whether it can run with and without rewriting the graph.
        mobile: whether it is made for phones: its latency on another processor is not a phone's.
        refuses: the reason for each modality that it refuses.
    """

    loads: str
    exports: str = ""
    judges: str = ""
    exact: bool = True
    reference: bool = False
    calibrated: bool = False
    packages: tuple[str, ...] = ()
    converters: tuple[str, ...] = ()
    extra: str = ""
    processors: tuple[Processor, ...] = ("cpu",)
    graph: bool = False
    mobile: bool = False
    refuses: Mapping[str, str] = field(default_factory=dict)

    @property
    def exported(self) -> bool:
        """Whether it runs exports; otherwise it runs the trained model's folder."""
        return bool(self.exports)

    def refusal(self, kind: "TaskKind") -> str | None:
        """The reason why it takes no models of a kind, if any."""
        return self.refuses.get(kind.modality)


ONNX = "distilgrid.runtimes.onnxruntime:OnnxRuntime"
BOTH: tuple[Processor, ...] = ("cpu", "cuda")
DYNAMIC_ONLY = "dynamic quantisation leaves convolutions in fp32; onnxruntime-int8-static quantises them"


def _torch(target: str, **facts: Any) -> RuntimeEntry:
    return RuntimeEntry(f"distilgrid.runtimes.{target}", processors=BOTH, **facts)


def _onnx(exporter: str, loader: str = "onnxruntime:OnnxRuntime", **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("onnxruntime",), "converters": ("onnx",), "extra": "onnx"}
    return _exported(loader, exporter, graph=True, **needs, **facts)


def _exported(loader: str, exporter: str, **facts: Any) -> RuntimeEntry:
    return RuntimeEntry(f"distilgrid.runtimes.{loader}", f"distilgrid.runtimes.{exporter}", **facts)


def _openvino(loader: str, exporter: str, **facts: Any) -> RuntimeEntry:
    return _exported(f"openvino:{loader}", exporter, packages=("openvino",), extra="openvino", **facts)


def _executorch(exporter: str, **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("executorch",), "converters": ("torchao",), "extra": "executorch"}
    return _exported("executorch:ExecuTorch", exporter, mobile=True, **needs, **facts)


def _litert(exporter: str, *quantiser: str, **facts: Any) -> RuntimeEntry:
    needs = {"packages": ("ai_edge_litert",), "converters": ("litert_torch", *quantiser), "extra": "litert"}
    return _exported("litert:LiteRT", exporter, mobile=True, graph=True, **needs, **facts)


OWN_RUNTIMES = {
    "torch-eager-fp32": _torch("torch_eager:TorchEager", reference=True),
    "torch-eager-bf16": _torch("torch_eager:TorchEagerBf16", exact=False),
    "torch-compile-fp32": _torch("torch_compile:TorchCompile"),
    "onnxruntime-fp32": _onnx("onnx_export:OnnxExporter", processors=BOTH),
    "onnxruntime-fp16": _onnx(
        "onnx_export:HalfExporter", "onnxruntime:HalfOnnxRuntime", judges=ONNX, exact=False, processors=("cuda",)
    ),
    "onnxruntime-int8": _onnx("onnx_quantised:DynamicInt8Exporter", exact=False, refuses={"image": DYNAMIC_ONLY}),
    "onnxruntime-int8-static": _onnx("onnx_quantised:StaticInt8Exporter", exact=False, calibrated=True),
    "openvino-fp32": _openvino("OpenVino", "openvino_export:OpenVinoExporter"),
    "openvino-bf16": _openvino("OpenVinoBf16", "openvino_export:OpenVinoBf16Exporter", exact=False),
    "openvino-int8": _openvino(
        "OpenVino",
        "openvino_export:OpenVinoInt8Exporter",
        converters=("nncf",),
        exact=False,
        calibrated=True,
    ),
    "executorch-fp32": _executorch("executorch_export:ExecuTorchExporter"),
    "executorch-int8": _executorch("executorch_export:ExecuTorchInt8Exporter", exact=False, calibrated=True),
    "litert-fp32": _litert("litert_export:LiteRTExporter"),
    "litert-int8": _litert("litert_export:LiteRTInt8Exporter", "ai_edge_quantizer", exact=False, calibrated=True),
}

_added = with_added("distilgrid.runtimes", dict.fromkeys(OWN_RUNTIMES, ""))
RUNTIMES: dict[str, RuntimeEntry] = {
    name: load_instance(f"runtime '{name}'", target, RuntimeEntry) if target else OWN_RUNTIMES[name]
    for name, target in _added.items()
}


def find_runtime(name: str) -> RuntimeEntry:
    """A row by its name; UserError with a suggestion for an unknown one."""
    if name not in RUNTIMES:
        raise UserError(f"unknown runtime '{name}'; {did_you_mean(name, RUNTIMES)}")
    return RUNTIMES[name]


def is_exact(name: str) -> bool:
    """Whether a runtime's models score as torch's do. An imported engine outside the table may not."""
    return name in RUNTIMES and RUNTIMES[name].exact


def open_runtime(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        UserError: for an unknown name, or without the packages that loading needs.
    """
    entry = find_runtime(name)
    runtime: Runtime = _build(name, entry.loads, entry.packages)
    return runtime


def open_judge(name: str) -> Runtime:
    """The runtime that judges exports on a CPU for the parity gate; raises as `open_runtime`."""
    entry = find_runtime(name)
    judge: Runtime = _build(name, entry.judges or entry.loads, entry.packages)
    return judge


def open_exporter(name: str) -> Exporter:
    """The exporter of a runtime; raises as `open_runtime`, also without the converter's packages."""
    entry = find_runtime(name)
    exporter: Exporter = _build(name, entry.exports, entry.packages + entry.converters)
    return exporter


def missing_packages(packages: Sequence[str]) -> list[str]:
    """The modules among `packages` that are not installed."""
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _build(name: str, target: str, packages: Sequence[str]) -> Any:
    missing, extra = missing_packages(packages), find_runtime(name).extra
    if missing:
        raise UserError(f"runtime '{name}' needs {' and '.join(missing)}: pip install 'distilgrid[{extra}]'")
    return load(target)()
