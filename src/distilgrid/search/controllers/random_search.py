"""Random search."""

from collections.abc import Sequence
from random import Random

from distilgrid.search.architecture import Architecture, SearchSpace
from distilgrid.search.controllers.base import Observation
from distilgrid.search.controllers.settings import RandomSearch
from distilgrid.search.drawing import Untried


class RandomController:
    """Draws architectures without repetition, each decision uniform, until the space is exhausted."""

    def __init__(self, space: SearchSpace, settings: RandomSearch, *, seed: int) -> None:
        del settings
        self._untried = Untried(space, Random(f"random-search/{seed}"))

    def ask(self, count: int) -> list[Architecture]:
        """New candidates."""
        return self._untried.several(count)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Ignore the results."""
