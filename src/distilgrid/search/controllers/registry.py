"""The table of controllers: where the code of each is, and its declared version. Light: no torch here.

To add a controller: write `controllers/<name>.py` with a class that is built from a space, its settings and a seed, its
settings in `settings.py`, and a row here.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.search.architecture import SearchSpace
from distilgrid.search.controllers.base import Controller

if TYPE_CHECKING:
    from distilgrid.search.controllers.settings import ControllerSettings


@dataclass(frozen=True)
class ControllerEntry:
    """One row of the table."""

    target: str  # "module:class"
    version: int  # bumped when its proposals may change
    package: str = ""  # a module that it needs beyond the core, brought by the extra `search`


CONTROLLERS = {
    "random": ControllerEntry("distilgrid.search.controllers.random_search:RandomController", 1),
    "evolution": ControllerEntry("distilgrid.search.controllers.evolution:EvolutionController", 1),
    "kd_nas": ControllerEntry("distilgrid.search.controllers.kd_nas:KDNASController", 1),
    "reinforce": ControllerEntry("distilgrid.search.controllers.reinforce:ReinforceController", 1),
    "optuna": ControllerEntry("distilgrid.search.controllers.optuna_study:OptunaController", 1, package="optuna"),
}


def build_controller(settings: "ControllerSettings", space: SearchSpace, *, seed: int) -> Controller:
    """The controller of some settings, imported on first use because some need torch.

    Raises UserError when a package is not installed, or the settings do not fit the space.
    """
    entry = CONTROLLERS[settings.kind]
    if entry.package and importlib.util.find_spec(entry.package) is None:
        raise UserError(f"controller '{settings.kind}' needs {entry.package}: pip install 'distilgrid[search]'")
    module, _, name = entry.target.partition(":")
    controller: Controller = getattr(importlib.import_module(module), name)(space, settings, seed=seed)
    return controller
