"""What the warm process loads: modules and their tables. A child starts as a fresh process would."""

import gc
import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Any

from distilgrid.jobs.process import workflow_is_gone

# What the stages import, and what transformers and pandas import when they are first used.
MODULES = (
    "distilgrid.__main__",
    "distilgrid.cli.app",
    "distilgrid.methods.kd.losses",
    "distilgrid.methods.pkd.losses",
    "distilgrid.plan.expand",
    "distilgrid.methods.mixkd.losses",
    "distilgrid.stages.augment.run",
    "distilgrid.stages.distill.run",
    "distilgrid.stages.export.run",
    "distilgrid.stages.features.run",
    "distilgrid.stages.finetune.run",
    "distilgrid.stages.record.run",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.metrics",
    "threadpoolctl",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
)
OPTIONAL = ("onnx",)  # not onnxruntime: it starts a thread
GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
TRIAL_SECONDS = 30


def load() -> None:
    """Import everything, and keep the garbage collector's hands off it: pages that nobody writes stay shared.

    Raises:
        ImportError: when the environment is broken; a cold job then says so where its user looks.
    """
    gc.disable()  # nothing that is imported is garbage, and looking for it takes a quarter of the time
    for name in MODULES:
        if workflow_is_gone():
            return
        importlib.import_module(name)
    for name in OPTIONAL:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    _conversions()
    gc.collect()
    gc.freeze()
    gc.enable()


def _conversions() -> None:
    """The renamings of old weights: transformers compiles a thousand patterns when it loads its first model."""
    loaded: Any = sys.modules.get("transformers.conversion_mapping")
    if loaded is not None:
        loaded.get_checkpoint_conversion_mapping("bert")


def obstacle() -> str | None:
    """Why this process must not fork jobs, if so."""
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    if len(threads) != 1:  # a child would have their locks without them
        return f"a library started threads: {', '.join(threads)}"
    if not _child_can_use_gpus():
        return "a forked process cannot use the GPU of this machine"
    return None


def _child_can_use_gpus() -> bool:
    """Whether a child can, where there are any: not if a library has asked the driver for them in this process."""
    torch: Any = sys.modules.get("torch")
    built = torch is not None and (torch.version.cuda or torch.version.hip)
    if not built or not any(Path(name).exists() for name in GPU_FILES):
        return True
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0
    signal.alarm(TRIAL_SECONDS)  # ends it
    code = 1
    try:
        torch.zeros(1, device="cuda")
        code = 0
    finally:
        os._exit(code)
