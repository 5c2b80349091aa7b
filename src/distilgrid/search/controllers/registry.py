"""The table of controllers: targets and versions. Light: no torch here.

A controller is a file here with a class that takes a space, settings and a seed, settings in `settings.py`, and a row
below.
"""

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.search.architecture import SearchSpace
from distilgrid.search.controllers.base import Controller

if TYPE_CHECKING:
    from distilgrid.search.controllers.settings import ControllerSettings


@dataclass(frozen=True)
class ControllerEntry:
    """A row of the table."""

    target: str  # "module:class"
    version: int  # raised when proposals may change
    package: str = ""  # package that the extra `search` brings


CONTROLLERS = {
    "random": ControllerEntry("distilgrid.search.controllers.random_search:RandomController", 1),
    "evolution": ControllerEntry("distilgrid.search.controllers.evolution:EvolutionController", 1),
    "kd_nas": ControllerEntry("distilgrid.search.controllers.kd_nas:KDNASController", 1),
    "reinforce": ControllerEntry("distilgrid.search.controllers.reinforce:ReinforceController", 1),
    "optuna": ControllerEntry("distilgrid.search.controllers.optuna_study:OptunaController", 1, package="optuna"),
}


def build_controller(settings: "ControllerSettings", space: SearchSpace, *, seed: int) -> Controller:
    """Build the controller of some settings, imported on use because some need torch.

    Raises UserError when a package is not installed, or the settings do not fit the space.
    """
    entry = CONTROLLERS[settings.kind]
    if entry.package and importlib.util.find_spec(entry.package) is None:
        raise UserError(f"controller '{settings.kind}' needs {entry.package}: pip install 'distilgrid[search]'")
    controller: Controller = load(entry.target)(space, settings, seed=seed)
    return controller
