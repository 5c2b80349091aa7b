"""The table of methods: what each needs recorded, where its code is, and its declared version.

To add a method: write `distillation/<name>.py` with an Objective, its settings in `settings.py`, and a row here.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from distilgrid.distillation.objective import Objective
    from distilgrid.distillation.settings import Method

TeacherOutputKind = Literal["logits", "cls-states"]


@dataclass(frozen=True)
class MethodEntry:
    """One row of the table: `target` is "module:class"; `version` is bumped when the method's results may change."""

    target: str
    version: int
    teacher_outputs: TeacherOutputKind | None


METHODS = {
    "finetune": MethodEntry("distilgrid.distillation.finetune:FinetuneObjective", 2, None),
    "kd": MethodEntry("distilgrid.distillation.kd:KDObjective", 2, "logits"),
    "pkd": MethodEntry("distilgrid.distillation.pkd:PKDObjective", 2, "cls-states"),
}


def build_objective(settings: "Method", *, regression: bool) -> "Objective":
    """The Objective of a method's settings, imported on first use because it needs torch."""
    module, _, name = METHODS[settings.objective].target.partition(":")
    objective: Objective = getattr(importlib.import_module(module), name)(settings, regression=regression)
    return objective
