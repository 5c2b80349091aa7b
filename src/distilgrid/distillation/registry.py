"""The table of methods: where the code of each is, and its declared version.

To add a method: write `distillation/<name>.py` with an Objective, its settings in `settings.py`, and a row here.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distilgrid.distillation.objective import Objective
    from distilgrid.distillation.settings import Method


@dataclass(frozen=True)
class MethodEntry:
    """One row of the table: `target` is "module:class"; `version` is bumped when the method's results may change."""

    target: str
    version: int


METHODS = {
    "finetune": MethodEntry("distilgrid.distillation.finetune:FinetuneObjective", 2),
    "kd": MethodEntry("distilgrid.distillation.kd:KDObjective", 2),
    "pkd": MethodEntry("distilgrid.distillation.pkd:PKDObjective", 2),
    "mixkd": MethodEntry("distilgrid.distillation.mixkd:MixKDObjective", 1),
}


def build_objective(settings: "Method", *, regression: bool) -> "Objective":
    """The Objective of a method's settings, imported on first use because it needs torch."""
    module, _, name = METHODS[settings.objective].target.partition(":")
    objective: Objective = getattr(importlib.import_module(module), name)(settings, regression=regression)
    return objective
