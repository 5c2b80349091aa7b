"""One MLflow run as it shall be: plain values, made without MLflow."""

from dataclasses import dataclass, field
from functools import cached_property

from distilgrid.fingerprint import recipe_key

GRID = "grid"  # the place and the role of the run that stands for a whole grid


@dataclass(frozen=True)
class Point:
    """One value of a curve; `time` in milliseconds since 1970, as MLflow wants it."""

    name: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class Record:
    """One MLflow run.

    Attributes:
        place: the artefact's folder under the results folder; it ends in the cell's key. A run is found again by it.
        name: of the run.
        started: milliseconds since 1970.
        ended: milliseconds since 1970.
        params: what was asked for, as text.
        metrics: scores, size, speed; grows as exports and benchmarks appear.
        tags: the axes of the grid, and where the files are.
        curves: what happened during training.
        above: the place of the run that it belongs to.
    """

    place: str
    name: str
    started: int
    ended: int
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    curves: list[Point] = field(default_factory=list)
    above: str = GRID

    @cached_property
    def trained(self) -> str:
        """A fingerprint of what MLflow cannot change in an existing run."""
        curves = [(point.name, point.value, point.step, point.time) for point in self.curves]
        return recipe_key({"name": self.name, "params": self.params, "curves": curves})

    @cached_property
    def fingerprint(self) -> str:
        """A fingerprint of everything."""
        times = [self.started, self.ended]
        return recipe_key({"trained": self.trained, "times": times, "metrics": self.metrics, "tags": self.tags})
