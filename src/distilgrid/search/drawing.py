"""Random members of a search space, however large it is. Light: no torch here."""

import random
from collections.abc import Callable

from distilgrid.search.architecture import Architecture, Choice, SearchSpace


def walk(space: SearchSpace, pick: Callable[[Choice], int]) -> tuple[int, ...]:
    """The places of one architecture, each decision made by `pick` among what is allowed."""
    places: tuple[int, ...] = ()
    while (choice := space.next_choice(places)) is not None:
        places = (*places, pick(choice))
    return places


def draw_places(space: SearchSpace, random: random.Random) -> tuple[int, ...]:
    """The places of one architecture, each decision uniform among what is allowed."""
    return walk(space, lambda choice: random.choice(choice.allowed))


class Untried:
    """Different members of a space, drawn decision by decision, until none is left.

    Uniform over decisions and not over members: in a space with an own width for each layer nearly all members have
    the most layers. Decisions after which everything was taken are left out, so no draw is in vain, and nothing is
    listed beyond what was taken.

    Args:
        space: where from.
        random: what draws.
    """

    def __init__(self, space: SearchSpace, random: random.Random) -> None:
        self._space, self._random = space, random
        self._spent: set[tuple[int, ...]] = set()

    def draw(self) -> Architecture | None:
        """One that was not drawn or taken before; None when there is no more."""
        if () in self._spent:
            return None
        places: tuple[int, ...] = ()
        while (choice := self._space.next_choice(places)) is not None:
            places = (*places, self._random.choice(self._open(places, choice)))
        architecture = self._space.decode(places)
        self.take(architecture)
        return architecture

    def take(self, architecture: Architecture) -> None:
        """Leave one out of what is drawn from now on."""
        places = self._space.encode(architecture)
        self._spent.add(places)
        while places:
            places = places[:-1]
            choice = self._space.next_choice(places)
            if choice is None or self._open(places, choice):
                return
            self._spent.add(places)

    def _open(self, places: tuple[int, ...], choice: Choice) -> list[int]:
        return [place for place in choice.allowed if (*places, place) not in self._spent]
