"""Settings of a claims file: a paper, its claims as comparisons of cells, its published numbers."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from distilgrid.core.errors import did_you_mean
from distilgrid.core.planned import TEACHER
from distilgrid.core.schema import Settings
from distilgrid.plan.settings import Name

Direction = Literal["higher", "lower"]
Certainty = Literal["sourced", "second-hand", "recalled", "unknown"]
Axes = Mapping[str, Any]
MAIN = "main"
POINTS = "points"
LATENCY = "latency."
"""Prefix of a metric that is the median latency in ms in a runtime: latency.onnxruntime-fp32."""
OF_SEARCHES = ("best_reward", "best_quality", "best_latency_ms", "minutes")
"""The metrics of a claim about searches."""
TIMES = (LATENCY, "best_latency_ms", "minutes")
"""The metrics that are times."""
SIZES = ("parameters", "size_bytes", "peak_memory_mib")
LOSSES = ("generalisation_gap", "train_loss", "dev_loss")
LESS = (*TIMES, "train_seconds", *SIZES, *LOSSES)
"""The metrics that are better when they are lower."""


class Paper(Settings):
    """The paper that makes the claims."""

    title: str = Field(min_length=1)
    """Its title."""
    year: int = Field(ge=1900, le=2100)
    """The year of publication."""
    url: str = Field(min_length=1)
    """The address where it can be read."""


class Side(Settings):
    """One side of a comparison. An axis that is not given is the same on both sides."""

    method: Name | None = None
    """A name defined under `methods`, or `teacher` for the teacher of the other side's students."""
    search: Name | None = None
    """For a claim about searches, a name defined under `searches`. Only `teacher` may go with it."""
    student: Name | None = None
    """A student of the grid."""
    augmentation: Name | None = None
    """An augmentation of the grid; `none` for the original rows."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the training rows."""
    teacher: Name | None = None
    """A teacher of the grid."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Side":
        if (self.method is None) == (self.search is None):
            raise ValueError("give a method, or else a search")
        if not set(self.given()) <= {"method", "search", TEACHER} and (self.search or self.method == TEACHER):
            raise ValueError("a search and a teacher have no student, augmentation or fraction")
        return self

    def given(self) -> dict[str, Any]:
        """The given axes by name."""
        return self.model_dump(exclude_none=True)


class Pair(Settings):
    """A difference: better less worse."""

    better: Side
    """The side that the claim puts first."""
    worse: Side
    """The side that it is compared with."""

    def axes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The axes of both sides. An axis that one side gives holds for the other side, too."""
        better, worse = self.better.given(), self.worse.given()
        shared = [
            {axis: value for axis, value in side.items() if side.get("method") != TEACHER or axis == TEACHER}
            for side in (better, worse)
        ]
        return {**shared[1], **better}, {**shared[0], **worse}

    @property
    def of_searches(self) -> bool:
        """Whether the sides are searches."""
        return self.better.search is not None


class Claim(Pair):
    """One claim as a comparison of cells."""

    id: Name
    """Its short name in tables."""
    claim: str = Field(min_length=1)
    """The claim as a sentence, in your own words."""
    source: str = Field(min_length=1)
    """The place in the paper: abstract, table 1, ..."""
    certainty: Certainty
    """How certain it is that the paper makes the claim."""
    than: Pair | None = None
    """A second difference. The claim is then that the first one exceeds it."""
    tasks: list[Name] | None = None
    """The tasks of the claim; `all` takes those of the grid."""
    without: list[Name] = Field(default_factory=list)
    """Tasks of the grid that a claim about all tasks leaves out."""
    metric: Name = MAIN
    """`main`; a number in `metrics.json`, such as generalisation_gap or parameters; or latency.<runtime>, in ms. For
    searches: best_reward, best_quality, best_latency_ms, or minutes for the time of their estimates."""
    times: float = Field(default=1.0, gt=0)
    """Factor on `worse`: with 0.97, the claim is to exceed 97 % of it."""
    unit: str = Field(default=POINTS, min_length=1)
    """`points` for differences of scores, shown as in tables; effects in other units are shown unscaled."""
    direction: Direction | None = None
    """The side of `worse` on which the claim puts `better`; by default the better side of the metric."""
    aggregate: Literal["each", "mean"] = "each"
    """`each` judges every task and their mean, `mean` only the mean."""
    minimum: float = Field(default=0.0, ge=0)
    """The smallest effect that counts, in the claim's unit."""
    margin: float | None = Field(default=None, gt=0)
    """The size, in the claim's unit, below which an effect is negligible; an interval within it on both sides says so.
    `report.decide` takes `minimum` or its own margin where a claim has none."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _all_or_some(cls, value: object) -> object:
        if value == "all":
            return None
        if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
            raise ValueError("must be all, or a list that names at least one task, each once")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Claim":
        if self.tasks is not None and self.without:
            raise ValueError("without goes with tasks: all; leave tasks out that the list need not name")
        if (self.worse.search is None) == self.of_searches or (self.than is not None and self.than.of_searches):
            raise ValueError("a claim about searches names one on both sides, and has no than")
        if self.of_searches != (self.metric in OF_SEARCHES):
            raise ValueError(f"searches have {', '.join(OF_SEARCHES)}, and only they; found metric '{self.metric}'")
        if self.metric.startswith(TIMES) and self.unit == POINTS:
            unit = "minutes" if self.metric == "minutes" else "ms"
            raise ValueError(f"a time is not a score: give unit: {unit}")
        taught = [side.method for side in (self.better, self.worse) if side.method == TEACHER]
        if self.than is not None and (taught or self.times != 1 or self.metric.startswith(LATENCY)):
            raise ValueError("a second difference goes with neither a teacher, times nor latencies")
        sides = [axes for _, axes in self.sides()]
        for pair, prefix in ((sides[:2], ""), (sides[2:], "than: ")):
            if pair and pair[0] == pair[1]:
                raise ValueError(f"{prefix}better and worse are the same cells; give an axis that differs")
        if sides[:2] == sides[2:]:
            raise ValueError("than is the same difference; give an axis that differs")
        return self

    def sides(self) -> list[tuple[float, Axes]]:
        """The sides with their weights in the effect. All sides but a teacher's give the same axes."""
        better, worse = self.axes()
        if self.than is None:
            return [(1, better), (-self.times, worse)]
        than_better, than_worse = self.than.axes()
        first = [(1, {**than_better, **better}), (-1, {**than_worse, **worse})]
        return [*first, (-1, {**better, **than_better}), (1, {**worse, **than_worse})]


class JointClaim(Settings):
    """A conjunction: a claim that holds when all of several claims of the file hold for the same models."""

    id: Name
    """Its short name in tables."""
    claim: str = Field(min_length=1)
    """The claim as a sentence, in your own words."""
    source: str = Field(min_length=1)
    """The place in the paper: abstract, table 1, ..."""
    certainty: Certainty
    """How certain it is that the paper makes the claim."""
    of: list[Name] = Field(min_length=2)
    """The ids of its parts."""


class Published(Settings):
    """A published number."""

    model: str = Field(min_length=1)
    """The model, as the source names it."""
    method: Name | None = None
    """Our method to compare with; `teacher` for the teacher."""
    student: Name | None = None
    """Our student to compare with; all of them if not given."""
    teacher: Name | None = None
    """Our teacher, or the teacher of our students, to compare with; all of them if not given."""
    task: Name
    """The task."""
    metric: Name
    """The metric: accuracy, f1, ..."""
    split: str = Field(min_length=1)
    """The scored rows: GLUE test server, dev, ..."""
    our_split: Name | None = None
    """Our validation split to compare with; by default that of the main score."""
    value: float | None = Field(strict=False)
    """The number as printed; empty when unknown."""
    source: str = Field(min_length=1)
    """The place where the number was read."""
    certainty: Certainty
    """How certain the number is; `unknown` goes with an empty value."""

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
    """Methods that only some grids of the paper define, each with a description."""
    claims: list[Claim] = Field(default_factory=list)
    """Its claims."""
    joint: list[JointClaim] = Field(default_factory=list)
    """Conjunctions of its claims, each with one verdict: 3.2 times as fast while keeping 97 % of the score."""
    published: list[Published] = Field(default_factory=list)
    """Its numbers, and those of related papers."""

    @field_validator("claims")
    @classmethod
    def _each_once(cls, claims: list[Claim]) -> list[Claim]:
        names = [claim.id for claim in claims]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two claims have the id '{twice}'; rename one")
        return claims

    @model_validator(mode="after")
    def _parts_exist(self) -> "ClaimsFile":
        known = [claim.id for claim in self.claims]
        for number, joint in enumerate(self.joint):
            unknown = next((name for name in joint.of if name not in known), None)
            if unknown is not None:
                raise ValueError(f"joint.{number}.of: no claim '{unknown}'; {did_you_mean(unknown, known)}")
            if len(set(joint.of)) < len(joint.of):
                raise ValueError(f"joint.{number}.of: must name each claim once")
        names = [*known, *(joint.id for joint in self.joint)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two claims have the id '{twice}'; rename one")
        return self
