"""Random search."""

from collections.abc import Sequence
from random import Random

from distilgrid.search.architecture import Architecture, SearchSpace
from distilgrid.search.controllers.settings import RandomSearch
from distilgrid.search.drawing import Untried
from distilgrid.search.observation import Observation


class RandomController:
    """Draws architectures without repetition, each decision uniform; when the space is exhausted, it begins again."""

    def __init__(self, space: SearchSpace, settings: RandomSearch, *, seed: int) -> None:
        del settings
        self._space, self._random = space, Random(f"random-search/{seed}")
        self._untried = Untried(space, self._random)

    def ask(self, count: int) -> list[Architecture]:
        """Candidates of an episode: fewer than `count` at the end of the space."""
        found: list[Architecture] = []
        while len(found) < count and (drawn := self._untried.draw()) is not None:
            found.append(drawn)
        if not found and count:
            self._untried = Untried(self._space, self._random)
            return self.ask(count)
        return found

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learns nothing."""
