"""What a controller is told of an architecture that was tried. Light: no torch here."""

from dataclasses import dataclass

from distilgrid.search.architecture import Architecture


@dataclass(frozen=True)
class Observation:
    """One architecture, tried."""

    architecture: Architecture  # which
    reward: float  # what the search makes large
    quality: float  # the reward's part that knows no latency, higher is better: the score, or 1 - loss
    latency_ms: float  # of one run
