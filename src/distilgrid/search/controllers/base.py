"""The protocol of controllers. Light: no torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from distilgrid.search.architecture import Architecture


@dataclass(frozen=True)
class Observation:
    """What a controller learns about a tried architecture."""

    architecture: Architecture
    reward: float  # value that the search maximises
    quality: float  # part of the reward without latency, higher is better: the score, or 1 - loss
    latency_ms: float


class Controller(Protocol):
    """Proposes architectures, episode by episode, and learns from their rewards.

    A controller is built from a space, its settings and a seed, and trains or measures no candidate itself. The same
    asks and tells give the same state, so a killed search goes on by repeating them.
    """

    def ask(self, count: int) -> list[Architecture]:
        """Candidates of an episode: up to `count` different ones, maybe tried before; none when the space is empty."""

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn from the candidates of an episode, all of them together."""
