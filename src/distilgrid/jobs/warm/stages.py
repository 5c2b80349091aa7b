"""Stages that start warm, and the modules that the warm process loads for them. Only the standard library."""

import gc
import importlib
from pkgutil import walk_packages

from distilgrid.jobs.process import workflow_is_gone

WARM_STAGES: dict[str, str] = importlib.import_module("distilgrid.stages.table").warm_stages()
"""The module that does the work of each warm stage."""
# Late imports of stages; docs/decisions/005-warm-start.md says what they cost.
OURS = (
    *("cli.app", "plan.expand", "plan.names", "stages.runner", "search.architecture"),
    *("training.cpu.acceleration", "training.cpu.vocabulary", "training.efficiency"),
)
FEATURES = ("methods", "signals", "tasks.kinds")
"""Folders whose modules a table of strings names, so that jobs load them late; reports stay out."""
MODELS = ("auto.tokenization_auto", "bert.modeling_bert", "bert.tokenization_bert")
LATE = (
    *(f"distilgrid.{name}" for name in OURS),
    "pandas",
    "scipy.stats",
    "sklearn.metrics",
    *(f"transformers.models.{name}" for name in MODELS),
)


def load() -> None:
    """Import everything, and exempt it from garbage collection so that children share its pages."""
    gc.disable()  # saves a quarter of the time
    for name in (*WARM_STAGES.values(), *LATE, *_features()):
        if not workflow_is_gone():
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _features() -> list[str]:
    folders = {f"distilgrid.{name}": importlib.import_module(f"distilgrid.{name}") for name in FEATURES}
    modules = [module for name, folder in folders.items() for module in walk_packages(folder.__path__, f"{name}.")]
    return [module.name for module in modules if not module.name.endswith(".report")]
