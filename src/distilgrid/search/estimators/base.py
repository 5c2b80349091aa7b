"""The protocol of estimators. Light: no torch here."""

from dataclasses import dataclass
from typing import Protocol

from distilgrid.search.architecture import Architecture


@dataclass(frozen=True)
class Estimate:
    """Estimated quality of a candidate."""

    score: float  # main metric on `dev`, negated where lower is better
    loss: float  # distance from the teacher, lower is better
    seconds: float  # cost of the estimate


class Estimator(Protocol):
    """Estimates candidates; only the seconds differ when a candidate is estimated again."""

    def estimate(self, architecture: Architecture) -> Estimate:
        """Quality of one architecture. Raises UserError when it cannot be built or trained."""
