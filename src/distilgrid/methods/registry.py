"""The table of methods: where the code of each is, and its declared version.

To add a method: write `distillation/<name>.py` with an Objective, its settings in `settings.py`, and a row here. A
method whose losses change along the way has a function that makes its phases instead.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilgrid.methods.settings import Method
    from distilgrid.tasks.kinds.kind import TaskKind
    from distilgrid.training.objective import Objective
    from distilgrid.training.schedule import Phase
    from distilgrid.training.settings import Training


@dataclass(frozen=True)
class MethodEntry:
    """One row of the table.

    Attributes:
        target: "module:name" of the Objective, or of the function that makes the phases.
        version: bumped when the method's results may change.
        scheduled: whether the losses change along the way.
    """

    target: str
    version: int
    scheduled: bool = False


METHODS = {
    "finetune": MethodEntry("distilgrid.methods.finetune.losses:FinetuneObjective", 2),
    "kd": MethodEntry("distilgrid.methods.kd.losses:KDObjective", 2),
    "pkd": MethodEntry("distilgrid.methods.pkd.losses:PKDObjective", 2),
    "hidden_kd": MethodEntry("distilgrid.methods.hidden_kd.losses:hidden_phases", 1, scheduled=True),
    "mixkd": MethodEntry("distilgrid.methods.mixkd.losses:MixKDObjective", 1),
    "takd": MethodEntry("distilgrid.methods.kd.losses:KDObjective", 1),
    "annealing_kd": MethodEntry("distilgrid.methods.annealing_kd.losses:annealing_phases", 1, scheduled=True),
    "continuation_kd": MethodEntry("distilgrid.methods.continuation_kd.losses:continuation_phases", 1, scheduled=True),
}


def build_objective(settings: "Method", *, kind: "TaskKind") -> "Objective":
    """The Objective of a method whose losses never change, imported on first use because it needs torch."""
    objective: Objective = _load(METHODS[settings.objective])(settings, kind=kind)
    return objective


def build_phases(settings: "Method", training: "Training", *, kind: "TaskKind") -> "list[Phase]":
    """The phases of a method's training.

    Raises:
        UserError: when the method does not fit the training settings.
    """
    entry = METHODS[settings.objective]
    if entry.scheduled:
        phases: list[Phase] = _load(entry)(settings, training, kind=kind)
        return phases
    from distilgrid.training.schedule import plain

    return plain(build_objective(settings, kind=kind), training)


def _load(entry: MethodEntry) -> Any:
    module, _, name = entry.target.partition(":")
    return getattr(importlib.import_module(module), name)
