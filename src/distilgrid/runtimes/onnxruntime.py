"""ONNX Runtime: loads and runs ONNX files. Light: needs no torch."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from distilgrid.runtimes.base import RunOptions, UnsupportedError

MODEL_FILE, LOGITS = "model.onnx", "logits"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# ONNX Runtime would otherwise multiply fp32 models in TF32 on a GPU.
PROVIDER_OPTIONS = {"cpu": {}, "cuda": {"use_tf32": "0"}}


class OnnxSession:
    """An exported model of any precision as a `Session`."""

    def __init__(self, folder: Path, how: RunOptions) -> None:
        provider = PROVIDERS[how.processor]
        if provider not in ort.get_available_providers():
            raise UnsupportedError(f"this build of ONNX Runtime has no {provider}; install onnxruntime-gpu")
        chosen = [(provider, PROVIDER_OPTIONS[how.processor])]
        self._session = ort.InferenceSession(str(folder / MODEL_FILE), session_options(how), providers=chosen)
        # Without the libraries of CUDA, ONNX Runtime falls back to the CPU with a line in its log.
        if provider not in self._session.get_providers():
            raise UnsupportedError(f"{provider} does not start here: it needs a GPU, CUDA and cuDNN")

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        feed = {name: np.ascontiguousarray(values) for name, values in inputs.items()}

        def run() -> np.ndarray:
            logits: np.ndarray = self._session.run([LOGITS], feed)[0]
            return logits

        return run


def session_options(how: RunOptions) -> ort.SessionOptions:
    """Options of a session: threads and graph optimisation."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = how.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if how.optimised else level.ORT_DISABLE_ALL
    # Idle worker threads would otherwise spin on cores where another model is being timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
