"""What a claims file may say: a paper, its claims as comparisons of cells, its published numbers."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from distilgrid.params import Name
from distilgrid.schema import Settings

Certainty = Literal["sourced", "second-hand", "recalled", "unknown"]
Axes = Mapping[str, Any]
MAIN = "main"
POINTS = "points"


class Paper(Settings):
    """The paper that the claims are taken from."""

    title: str = Field(min_length=1)
    """Its title."""
    year: int = Field(ge=1900, le=2100)
    """When it appeared."""
    url: str = Field(min_length=1)
    """Where it can be read."""


class Side(Settings):
    """One side of a comparison. An axis that is not given is the same on both sides."""

    method: Name
    """A name defined under `methods`."""
    student: Name | None = None
    """A student of the grid."""
    augmentation: Name | None = None
    """Augmented training data; `none` for the original rows."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the training rows."""
    teacher: Name | None = None
    """A teacher of the grid."""

    def given(self) -> dict[str, Any]:
        """The axes that are given, by name."""
        return self.model_dump(exclude_none=True)


class Pair(Settings):
    """A difference: better less worse."""

    better: Side
    """The side that the claim puts first."""
    worse: Side
    """The side that it is compared with."""

    def axes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The axes of both sides; one that only one of them gives holds for the other too."""
        better, worse = self.better.given(), self.worse.given()
        return {**worse, **better}, {**better, **worse}


class Claim(Pair):
    """One claim as a comparison of cells."""

    id: Name
    """Its short name in tables."""
    claim: str = Field(min_length=1)
    """The claim as a sentence, in your own words."""
    source: str = Field(min_length=1)
    """Where the paper makes it: abstract, table 1, ..."""
    certainty: Certainty
    """How well it is known that the paper makes it."""
    than: Pair | None = None
    """A second difference; the claim is then that the first one exceeds it."""
    tasks: list[Name] | None = None
    """Tasks that it is about; `all` takes those of the grid."""
    without: list[Name] = Field(default_factory=list)
    """Tasks of the grid that it says nothing about, where it is about all others."""
    metric: Name = MAIN
    """`main`, or a number in `metrics.json`, such as generalisation_gap."""
    unit: str = Field(default=POINTS, min_length=1)
    """`points` are differences of scores times 100; numbers in any other unit are shown as they are."""
    direction: Literal["higher", "lower"] = "higher"
    """On which side of `worse` the claim puts `better`."""
    aggregate: Literal["each", "mean"] = "each"
    """`each` judges every task and their mean, `mean` the mean alone."""
    minimum: float = Field(default=0.0, ge=0)
    """The smallest effect that counts, in the unit."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _all_or_some(cls, value: object) -> object:
        if value == "all":
            return None
        if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
            raise ValueError("must be all, or a list that names at least one task, each once")
        return value

    @model_validator(mode="after")
    def _all_but(self) -> "Claim":
        if self.tasks is not None and self.without:
            raise ValueError("without goes with tasks: all; leave tasks out that the list need not name")
        return self

    @model_validator(mode="after")
    def _compares(self) -> "Claim":
        sides = [axes for _, axes in self.sides()]
        if sides[0] == sides[1]:
            raise ValueError("better and worse are the same cells; give an axis that differs")
        if len(sides) == 4 and sides[2] == sides[3]:
            raise ValueError("than: better and worse are the same cells; give an axis that differs")
        if len(sides) == 4 and sides[:2] == sides[2:]:
            raise ValueError("than is the same difference; give an axis that differs")
        return self

    def sides(self) -> list[tuple[int, Axes]]:
        """The sides, with the sign of each in the effect; all give the same axes, by the method at least."""
        better, worse = self.axes()
        if self.than is None:
            return [(1, better), (-1, worse)]
        than_better, than_worse = self.than.axes()
        first = [(1, {**than_better, **better}), (-1, {**than_worse, **worse})]
        return [*first, (-1, {**better, **than_better}), (1, {**worse, **than_worse})]

    @property
    def scale(self) -> float:
        """What turns a difference of scores into the unit."""
        return 100.0 if self.unit == POINTS else 1.0


class Published(Settings):
    """A published number."""

    model: str = Field(min_length=1)
    """The model as the source names it."""
    method: Name | None = None
    """Our method to put beside it; `teacher` for the teacher."""
    student: Name | None = None
    """Our student to put beside it; without one, all of them."""
    teacher: Name | None = None
    """Our teacher, or the teacher of our students, to put beside it; without one, all of them."""
    task: Name
    """The task."""
    metric: Name
    """The metric: accuracy, f1, ..."""
    split: str = Field(min_length=1)
    """What it was scored on: GLUE test server, dev, ..."""
    our_split: Name | None = None
    """Our validation split to put beside it; the one of the main score by default."""
    value: float | None = Field(allow_inf_nan=False)
    """The number as printed; empty when it is not known."""
    source: str = Field(min_length=1)
    """Where it was read."""
    certainty: Certainty
    """How well it is known; `unknown` goes with an empty value."""

    @model_validator(mode="after")
    def _known_or_not(self) -> "Published":
        if (self.value is None) != (self.certainty == "unknown"):
            raise ValueError("value is empty when certainty is unknown, and only then")
        return self


class ClaimsFile(Settings):
    """A paper's claims and published numbers."""

    paper: Paper
    """The paper."""
    methods: dict[Name, str] = Field(default_factory=dict)
    """Methods that grids of the paper define for themselves, with what each of them is: a grid may lack them."""
    claims: list[Claim] = Field(default_factory=list)
    """Its claims."""
    published: list[Published] = Field(default_factory=list)
    """Its numbers, and those of its relatives."""

    @field_validator("claims")
    @classmethod
    def _each_once(cls, claims: list[Claim]) -> list[Claim]:
        names = [claim.id for claim in claims]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two claims have the id '{twice}'; rename one")
        return claims
