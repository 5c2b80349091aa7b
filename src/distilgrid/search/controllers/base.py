"""The protocol of controllers. Light: no torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from distilgrid.search.architecture import Architecture


@dataclass(frozen=True)
class Observation:
    """One architecture, tried."""

    architecture: Architecture  # which
    reward: float  # what the search makes large
    quality: float  # the reward's part that knows no latency, higher is better: the score, or 1 - loss
    latency_ms: float  # of one run


class Controller(Protocol):
    """Proposes architectures, episode by episode, and learns from what became of them.

    It is built from a space, its settings and a seed, and measures or trains no candidate itself. All that it does
    follows from these and from what it was told: the same asks and tells give the same state, which is how a killed
    search goes on.
    """

    def ask(self, count: int) -> list[Architecture]:
        """The candidates of an episode: at most `count` different ones, maybe tried before; none when none is left."""

    def tell(self, observations: Sequence[Observation]) -> None:
        """What became of them: once for each episode, all of its candidates together."""
