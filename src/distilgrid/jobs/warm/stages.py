"""Stages that start warm, and the modules that the warm process loads for them. Only the standard library."""

import gc
import importlib

from distilgrid.jobs.process import workflow_is_gone

WARM_STAGES: dict[str, str] = importlib.import_module("distilgrid.stages.table").warm_stages()
"""The module that does the work of each warm stage."""
# Late imports of stages; docs/decisions/005-warm-start.md says what they cost.
OURS = ("distilgrid.cli.app", "distilgrid.plan.expand", "distilgrid.search.architecture")
MODELS = ("auto.tokenization_auto", "bert.modeling_bert", "bert.tokenization_bert")
LATE = (*OURS, "pandas", "scipy.stats", "sklearn.metrics", *(f"transformers.models.{name}" for name in MODELS))


def load() -> None:
    """Import everything, and exempt it from garbage collection so that children share its pages."""
    gc.disable()  # saves a quarter of the time
    for name in (*WARM_STAGES.values(), *LATE):
        if not workflow_is_gone():
            importlib.import_module(name)
    gc.freeze()
    gc.enable()
