"""Random search, and regularised evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Architecture
Search"), which begins with it."""

from collections import deque
from collections.abc import Sequence
from random import Random

from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.registry import Observation
from distilgrid.search.controllers.settings import Evolution, RandomSearch
from distilgrid.search.decisions import Fits, SearchSpace, Untried, anything

CHILDREN = 30  # children that are drawn until one is new


class RandomController:
    """Draws architectures without repetition, each decision uniform, until the space is exhausted."""

    def __init__(self, space: SearchSpace, settings: RandomSearch, *, seed: int, fits: Fits = anything) -> None:
        del settings
        self._untried = Untried(space, Random(f"random-search/{seed}"), fits=fits)

    def ask(self, count: int) -> list[Architecture]:
        """New candidates."""
        return self._untried.several(count)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Ignore the results."""


class EvolutionController:
    """The best of a few of the population has a child that differs in one choice; the oldest makes room for it.

    The population begins with random architectures. The paper trains an architecture again when it comes up again;
    here rewards are known, so a child that was tried before is drawn again.
    """

    def __init__(self, space: SearchSpace, settings: Evolution, *, seed: int, fits: Fits = anything) -> None:
        self._space, self._settings, self._fits = space, settings, fits
        self._random = Random(f"evolution/{seed}")
        self._untried = Untried(space, self._random, fits=fits)
        self._population: deque[Observation] = deque(maxlen=settings.population)
        self._asked: set[Architecture] = set()

    def ask(self, count: int) -> list[Architecture]:
        """Random architectures until the population is full, then children."""
        found: list[Architecture] = []
        for _ in range(count):
            founders = self._settings.population - len(self._population) - len(found)
            candidate = self._child() if founders <= 0 else None
            candidate = candidate or self._untried.draw()
            if candidate is None:  # the space is exhausted
                break
            self._asked.add(candidate)
            found.append(candidate)
        return found

    def tell(self, observations: Sequence[Observation]) -> None:
        """Add the youngest to the population; the oldest leave it."""
        self._population.extend(observations)

    def _child(self) -> Architecture | None:
        """An untried child that fits; None where no drawn parent has one."""
        for _ in range(CHILDREN if self._population else 0):
            size = min(self._settings.tournament, len(self._population))
            parent = max(self._random.sample(self._population, size), key=lambda seen: seen.reward)
            children = list(self._space.neighbours(parent.architecture))
            child = self._random.choice(children) if children else parent.architecture
            if child not in self._asked and self._fits(child):
                self._untried.take(child)
                return child
        return None
