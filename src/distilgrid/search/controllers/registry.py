"""The protocol and the table of controllers. Light: no torch here.

A controller is a file here with a class that takes a space, settings and a seed, settings in `settings.py`, and a row
below.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.search.architecture import Architecture
from distilgrid.search.decisions import Fits, SearchSpace, anything

if TYPE_CHECKING:
    from distilgrid.search.controllers.settings import ControllerSettings


@dataclass(frozen=True)
class Observation:
    """What a controller learns about a tried architecture."""

    architecture: Architecture
    reward: float  # value that the search maximises
    quality: float  # part of the reward without latency, higher is better: the score, or 1 - loss
    latency_ms: float
    penalty: float = field(default=0.0, kw_only=True)  # taken off the reward beyond the search's limits


class Controller(Protocol):
    """Proposes architectures, episode by episode, and learns from their rewards.

    A controller is built from a space, its settings, a seed and `fits`, and trains or measures no candidate itself. It
    proposes only what fits, as long as it finds such. The same asks and tells give the same state, so a killed search
    goes on by repeating them.
    """

    def ask(self, count: int) -> list[Architecture]:
        """Candidates of an episode: up to `count` different ones, maybe tried before; none when the space is empty."""

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn from the candidates of an episode, all of them together."""


@dataclass(frozen=True)
class ControllerEntry:
    """A row of the table."""

    target: str  # "module:class"
    version: int  # raised when proposals may change
    package: str = ""  # package that the extra `search` brings


CONTROLLERS = {
    "random": ControllerEntry("distilgrid.search.controllers.evolution:RandomController", 1),
    "evolution": ControllerEntry("distilgrid.search.controllers.evolution:EvolutionController", 1),
    "kd_nas": ControllerEntry("distilgrid.search.controllers.kd_nas:KDNASController", 1),
    "reinforce": ControllerEntry("distilgrid.search.controllers.reinforce:ReinforceController", 1),
    "optuna": ControllerEntry("distilgrid.search.controllers.optuna_study:OptunaController", 1, package="optuna"),
}


def lacking(kind: str) -> list[str]:
    """A complaint about the package of a kind of controller, if it is not installed; else none."""
    package = CONTROLLERS[kind].package
    if not package or importlib.util.find_spec(package) is not None:
        return []
    return [f"controller '{kind}' needs {package}: pip install 'distilgrid[search]'"]


def build_controller(
    settings: "ControllerSettings", space: SearchSpace, *, seed: int, fits: Fits = anything
) -> Controller:
    """Build the controller of some settings, imported on use because some need torch.

    Raises UserError when a package is not installed, or the settings do not fit the space.
    """
    for problem in lacking(settings.kind):
        raise UserError(problem)
    controller: Controller = load(CONTROLLERS[settings.kind].target)(space, settings, seed=seed, fits=fits)
    return controller
