"""The table of task kinds. A package adds one by an entry point of the group `distilgrid.task_kinds`."""

import functools

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.loading import load_instance, with_added
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.metric import Metric

GROUP = "distilgrid.task_kinds"
KINDS = {
    "label": "distilgrid.tasks.kinds.label.declare:KIND",
    "number": "distilgrid.tasks.kinds.number.declare:KIND",
    "image": "distilgrid.tasks.kinds.image.declare:KIND",
}


@functools.cache
def known_kinds() -> dict[str, TaskKind]:
    """All kinds by name: the built-in ones, then those of installed packages."""
    targets = with_added(GROUP, KINDS)
    return {name: load_instance(f"kind '{name}'", target, TaskKind) for name, target in targets.items()}


def find_kind(name: str) -> TaskKind:
    """Look up a kind. Raises UserError with a suggestion for an unknown name."""
    known = known_kinds()
    if name not in known:
        raise UserError(f"unknown kind '{name}'; {did_you_mean(name, known)}")
    return known[name]


def find_metric(name: str) -> Metric:
    """Look up a metric of any kind. Raises UserError with a suggestion for an unknown name."""
    known = {metric.name: metric for kind in reversed(known_kinds().values()) for metric in kind.metrics.values()}
    if name not in known:
        raise UserError(f"unknown metric '{name}'; {did_you_mean(name, known)}")
    return known[name]
