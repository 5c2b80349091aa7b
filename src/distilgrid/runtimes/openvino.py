"""OpenVINO on CPUs: loads and runs IR files in fp32, bf16 or int8. Light: needs no torch."""

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distilgrid.core.machine import accelerates_bf16
from distilgrid.runtimes.base import RunOptions, UnsupportedError

MODEL_FILE, WEIGHTS_FILE = "model.xml", "model.bin"
NO_INSTRUCTIONS = "this CPU lacks bf16 instructions (avx512_bf16 or amx_bf16 on x86, bf16 on Arm)"
NO_KERNELS = "this CPU computes bf16, but this build of OpenVINO does not on it"
# OpenVINO's messages name places in its source before the reason.
PLACES = ("Exception", "Check '", "FrontEnd API failed", "Model wasn't fully", "Couldn't get TorchScript")


def _without_telemetry() -> Any:
    """Import OpenVINO without its telemetry, which reports the import and every conversion to Google Analytics.

    OpenVINO's opt-out would be a file in the user's home. NNCF, imported later, reports nothing then either.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # Python's way to forbid an import
    return importlib.import_module("openvino")


ov = _without_telemetry()


class OpenVinoSession:
    """An exported model as a `Session`, which computes in fp32 what is not quantised: OpenVINO might take bf16.

    It always rewrites the graph: only OpenVINO's builds for its own developers can leave that out.
    """

    precision = "f32"

    def __init__(self, folder: Path, how: RunOptions) -> None:
        self._model = compiled(folder, how, precision=self.precision)
        self._shapes = {port.get_any_name(): port.partial_shape for port in self._model.inputs}

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        shapes = {name: values.shape for name, values in inputs.items()}
        known = shapes.keys() == self._shapes.keys()  # OpenVINO would run without a missing input
        if not known or not all(self._shapes[n].compatible(ov.PartialShape(list(s))) for n, s in shapes.items()):
            raise UnsupportedError(f"converted for {_described(self._shapes)}, not for {_described(shapes)}")
        if len(set(shapes.values())) > 1:  # OpenVINO would go on with empty tensors
            raise UnsupportedError(f"inputs differ in shape: {_described(shapes)}")
        batch = next(iter(shapes.values()))[0]
        request = self._model.create_infer_request()
        for name, values in inputs.items():
            request.set_tensor(name, ov.Tensor(np.ascontiguousarray(values)))

        def run() -> np.ndarray:
            try:
                logits: np.ndarray = request.infer(share_outputs=True)[0].copy()
            except RuntimeError as error:
                raise RuntimeError(reason(error)) from error
            if len(logits) != batch:  # for example for tokens beyond the model's positions
                raise RuntimeError(f"OpenVINO gave {len(logits)} rows of logits for {batch} rows of inputs")
            return logits

        return run


class OpenVinoBf16Session(OpenVinoSession):
    """A model exported in fp32, computed in bf16."""

    precision = "bf16"


def compiled(folder: Path, how: RunOptions, *, precision: str) -> Any:
    """An exported model as OpenVINO's CompiledModel, "f32" or "bf16".

    Raises UnsupportedError when it cannot run in this way, RuntimeError for a damaged file.
    """
    core, at_start = opened()
    # OpenVINO would imitate bf16 on CPUs without it, or ignore the hint.
    if precision == "bf16" and not accelerates_bf16():
        raise UnsupportedError(NO_INSTRUCTIONS)
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UnsupportedError(NO_KERNELS)
    held = _usable()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": how.threads,
        # Otherwise it limits threads to the number of physical cores.
        "ENABLE_HYPER_THREADING": True,
        # Pinning takes the first cores of those seen at the start: parallel jobs would share them. Without it a thread
        # runs on any core of the process. So pinning is right only where the process has exactly these cores.
        "ENABLE_CPU_PINNING": held == at_start and len(held) == how.threads,
        "CACHE_DIR": "",
    }
    try:
        model = core.compile_model(str(folder / MODEL_FILE), "CPU", settings)
    except RuntimeError as error:
        raise RuntimeError(reason(error)) from error
    threads = model.get_property("INFERENCE_NUM_THREADS")
    if threads < how.threads <= len(held):
        raise UnsupportedError(
            f"OpenVINO would run {threads} of {how.threads} threads: it counts the cores of a process only once"
        )
    return model


@functools.cache
def opened() -> tuple[Any, frozenset[int]]:
    """OpenVINO's Core, and the cores of the process when OpenVINO looked at them, which it does only once."""
    cores, core = _usable(), ov.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # OpenVINO looks now
    return core, cores


def reason(error: Exception) -> str:
    """The line with the reason in a message of OpenVINO."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(PLACES)] or [type(error).__name__]
    return next((line for line in told if "No conversion rule" in line), told[0]).removeprefix("-- ")


def _usable() -> frozenset[int]:
    """Numbers of the cores that this process may use; empty if the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _described(shapes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
