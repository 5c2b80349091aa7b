"""What a search is told about a candidate's quality, and who tells it. Light: no torch here."""

from dataclasses import dataclass
from typing import Protocol

from distilgrid.search.architecture import Architecture


@dataclass(frozen=True)
class Estimate:
    """How good a candidate is."""

    score: float  # the task's main metric on `dev`, less than zero where lower is better: more is better
    loss: float  # distance from the teacher, as the estimator measures it; lower is better
    seconds: float  # what the estimate took


class Estimator(Protocol):
    """Estimates candidates, the same ones always alike but for the seconds."""

    def estimate(self, architecture: Architecture) -> Estimate:
        """The quality of one architecture. Raises UserError when it cannot be built or trained."""
