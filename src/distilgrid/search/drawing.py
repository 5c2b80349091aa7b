"""Random members of a search space of any size. Light: no torch here."""

import random
from collections.abc import Callable

from distilgrid.search.architecture import Architecture, Choice, SearchSpace


def walk(space: SearchSpace, pick: Callable[[Choice], int]) -> tuple[int, ...]:
    """Places of an architecture, each decision made by `pick` among the allowed values."""
    places: tuple[int, ...] = ()
    while (choice := space.next_choice(places)) is not None:
        places = (*places, pick(choice))
    return places


def draw_places(space: SearchSpace, random: random.Random) -> tuple[int, ...]:
    """Places of a random architecture, each decision uniform among the allowed values."""
    return walk(space, lambda choice: random.choice(choice.allowed))


class Untried:
    """Different members of a space, drawn decision by decision, until none is left.

    Draws are uniform over decisions, not over members: where each layer has its own width, nearly all members have the
    most layers. Decisions after which every member was taken are left out, so every draw succeeds, and only the taken
    members are listed.
    """

    def __init__(self, space: SearchSpace, random: random.Random) -> None:
        self._space, self._random = space, random
        self._spent: set[tuple[int, ...]] = set()

    def draw(self) -> Architecture | None:
        """A member that was not drawn or taken before; None when none is left."""
        if () in self._spent:
            return None
        places: tuple[int, ...] = ()
        while (choice := self._space.next_choice(places)) is not None:
            places = (*places, self._random.choice(self._open(places, choice)))
        architecture = self._space.decode(places)
        self.take(architecture)
        return architecture

    def several(self, count: int) -> list[Architecture]:
        """Up to `count` untried architectures."""
        found: list[Architecture] = []
        while len(found) < count and (drawn := self.draw()) is not None:
            found.append(drawn)
        return found

    def take(self, architecture: Architecture) -> None:
        """Exclude a member from later draws."""
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
