"""The unit and the direction of a claim's effects."""

from collections.abc import Sequence
from dataclasses import dataclass

from distilgrid.reporting import wording
from distilgrid.reporting.claims.schema import MAIN, POINTS, Claim, Direction
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.scoring import HUNDRED


@dataclass(frozen=True)
class Measure:
    """How effects of a claim are shown and compared.

    Attributes:
        direction: on which side of `worse` the claim puts `better`.
        scale: the factor between an effect and the number in the claim's unit.
        unit: of that number; nothing for points, which need no name.
    """

    direction: Direction
    scale: float
    unit: str = ""

    def effect(self, value: float) -> str:
        """An effect in the claim's unit, with its sign."""
        return f"{wording.digits(value, '+')} {self.unit}" if self.unit else wording.signed(value, self.scale)

    def bounds(self, low: float, high: float) -> str:
        """An interval in the claim's unit."""
        return wording.plain_bounds(low, high) if self.unit else wording.bounds(low, high, self.scale)


def measure_of(findings: Findings, claim: Claim, tasks: Sequence[str]) -> Measure:
    """The measure of a claim on tasks. Those of its main metric come from the metric, unless the claim says otherwise.

    Tasks whose metrics have other scales or directions have no common mean; the first task decides.
    """
    direction, scale = claim.direction or "higher", HUNDRED
    if claim.metric == MAIN and tasks:
        scoring = findings.scoring(tasks[0])
        direction = claim.direction or ("higher" if scoring.higher_is_better else "lower")
        scale = scoring.scale
    return Measure(direction, scale) if claim.unit == POINTS else Measure(direction, 1.0, claim.unit)
