"""One MLflow run as it shall be: plain values, made without MLflow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from distilgrid.core.fingerprint import recipe_key

GRID = "grid"  # the place and the role of the run that stands for a whole grid


@dataclass(frozen=True)
class Point:
    """One value of a curve; `time` in milliseconds since 1970, as MLflow wants it."""

    name: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class UsedData:
    """A split of prepared data, or augmented rows, that a run used.

    Attributes:
        name: the task's, or the task's and the augmentation's.
        digest: of its file, 12 hex digits.
        context: `train`, `dev` or a validation split.
        source: where its file lies under the results folder, and what it was made from.
        columns: of its file, by MLflow's name of their type.
        profile: facts such as its number of rows.
        share: of the rows that were used.
    """

    name: str
    digest: str
    context: str
    source: Mapping[str, str]
    columns: Mapping[str, str]
    profile: Mapping[str, Any]
    share: str = "1"


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
        datasets: what it was trained, selected and scored on.
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
    datasets: tuple[UsedData, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """A fingerprint of everything; its parts are nested as in stores that earlier versions wrote."""
        curves = [(point.name, point.value, point.step, point.time) for point in self.curves]
        trained = recipe_key({"name": self.name, "params": self.params, "curves": curves})
        times = [self.started, self.ended]
        made: dict[str, Any] = {"trained": trained, "times": times, "metrics": self.metrics, "tags": self.tags}
        if self.datasets:
            made["datasets"] = [asdict(dataset) for dataset in self.datasets]
        return recipe_key(made)
