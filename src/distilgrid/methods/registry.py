"""The table of methods: the class of the settings, by objective.

A method of this project is a folder here and a row below. Another package lists its class in the entry points group
`distilgrid.methods`, as examples/plugin does.
"""

import functools
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.loading import load_class, with_added
from distilgrid.methods.base import BaseMethod

if TYPE_CHECKING:
    from collections.abc import Collection

METHODS = {
    "finetune": "distilgrid.methods.finetune.declare:Finetune",
    "kd": "distilgrid.methods.kd.declare:KD",
    "takd": "distilgrid.methods.takd.declare:TAKD",
    "pkd": "distilgrid.methods.pkd.declare:PKD",
    "hidden_kd": "distilgrid.methods.hidden_kd.declare:HiddenKD",
    "mixkd": "distilgrid.methods.mixkd.declare:MixKD",
    "annealing_kd": "distilgrid.methods.annealing_kd.declare:AnnealingKD",
    "continuation_kd": "distilgrid.methods.continuation_kd.declare:ContinuationKD",
}
GROUP = "distilgrid.methods"  # entry points group in which packages list their methods


@functools.cache
def method_classes() -> dict[str, type[BaseMethod]]:
    """Settings class of every method, by objective. Raises UserError when a package's method cannot be used."""
    targets = with_added(GROUP, METHODS)
    return {objective: _loaded(objective, target) for objective, target in targets.items()}


def presets() -> dict[str, BaseMethod]:
    """Methods that a grid can name without defining them: baselines, and methods under the names of their papers."""
    return {name: preset for method in method_classes().values() for name, preset in method.presets().items()}


def unknown_method(name: str, defined: "Collection[str]") -> str:
    """Message about a method that nothing defines."""
    method = method_classes().get(name.replace("-", "_"))  # objectives have underscores, names of methods hyphens
    if method is not None and not method.presets():
        why, written = method.without_preset
        return f"unknown method '{name}'; it has no preset, as {why}: methods: {{{name}: {written}}}"
    return f"unknown method '{name}'; {did_you_mean(name, defined)}"


def _loaded(objective: str, target: str) -> type[BaseMethod]:
    """Load the class of an entry; refuse it unless it is a method under its own name."""
    method = load_class(f"method '{objective}'", target, BaseMethod)
    own = method.model_fields["objective"].default
    if own != objective:
        raise UserError(f"method '{objective}': its settings have objective {own!r}; give both the same name")
    return method


if TYPE_CHECKING:
    Method = BaseMethod
else:
    Method = Annotated[Union[tuple(method_classes().values())], Field(discriminator="objective")]  # noqa: UP007
"""Settings of any method, as parameter files write them."""
