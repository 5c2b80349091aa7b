"""The unit and the direction of a claim's effects."""

from collections.abc import Sequence
from dataclasses import dataclass

from distilgrid.reporting import wording
from distilgrid.reporting.claims.schema import MAIN, POINTS, Claim, Direction
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.scoring import HUNDRED


@dataclass(frozen=True)
class Measure:
    """The notation of a claim's effects."""

    direction: Direction  # the side of `worse` on which the claim puts `better`
    scale: float  # factor from an effect to the number in the claim's unit
    unit: str = ""  # the unit's name; empty for points

    def effect(self, value: float) -> str:
        """An effect in the claim's unit, with its sign."""
        return f"{wording.digits(value, '+')} {self.unit}" if self.unit else wording.signed(value, self.scale)

    def bounds(self, low: float, high: float) -> str:
        """An interval in the claim's unit."""
        return wording.plain_bounds(low, high) if self.unit else wording.bounds(low, high, self.scale)


def measure_of(findings: Findings, claim: Claim, tasks: Sequence[str]) -> Measure:
    """The measure of a claim on tasks. The main metric gives the scale, and the direction unless the claim does.

    The first task decides, because tasks whose metrics differ in scale or direction have no common mean.
    """
    direction, scale = claim.direction or "higher", HUNDRED
    if claim.metric == MAIN and tasks:
        scoring = findings.scoring(tasks[0])
        direction = claim.direction or ("higher" if scoring.higher_is_better else "lower")
        scale = scoring.scale
    return Measure(direction, scale) if claim.unit == POINTS else Measure(direction, 1.0, claim.unit)
