"""Settings of a grid's axes, teachers and students, of its report and of its jobs. Light: no torch here."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.machine import MOST_THREADS
from distilgrid.core.schema import Seed, Settings, each_once
from distilgrid.methods.base import BaseMethod
from distilgrid.models.settings import Student
from distilgrid.plan.teachers import teacher_label, teacher_names
from distilgrid.training.settings import TrainingOverrides

LOOP = re.compile(r"(.+)\1{19}$")


def _no_loop(name: str) -> str:
    """Refuse a name that Snakemake takes for the path of a rule that feeds itself."""
    if LOOP.search(name):
        raise ValueError("must not end in the same characters 20 times, which Snakemake takes for a loop; shorten it")
    return name


Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100), AfterValidator(_no_loop)
]
ORIGINAL, MIXED = "original", "mixed"
KINDS = {ORIGINAL, MIXED}
"""Kinds of rows, next to those that augmentations name."""


class Replication(Settings):
    """Seeds beyond those of the grid for the students of one line of its tables, or for one search."""

    task: Name
    """A task of the grid."""
    teacher: str
    """A teacher of the grid; several in one cell are joined by "+"."""
    method: Name | None = None
    """A method of the grid, for students."""
    student: Name | None = None
    """A student of the grid."""
    augmentation: Name = "none"
    """An augmentation of the grid."""
    fraction: float = Field(default=1.0, gt=0, le=1)
    """A share of the grid."""
    search: Name | None = None
    """For the seeds of a controller, a search of the grid, in place of method and student."""
    seeds: Annotated[list[Seed], AfterValidator(each_once)] = Field(min_length=1)
    """The added seeds."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Replication":
        given = (self.method is not None, self.student is not None)
        if given != ((False, False) if self.search is not None else (True, True)):
            raise ValueError("give a method and a student, or else a search")
        return self

    @property
    def cell(self) -> dict[str, Any]:
        """The axes of its cells but the seed."""
        return self.model_dump(exclude={"search", "seeds"})

    @property
    def labels(self) -> dict[str, Any]:
        """The names of the line or the search that gets the seeds, as reports have them."""
        return self.cell if self.search is None else {"task": self.task, "teacher": self.teacher, "search": self.search}


class Grid(Settings):
    """The axes of the grid: one cell for each combination."""

    name: Name = "default"
    """Names the report folder and the MLflow parent run."""
    tasks: list[Name] = Field(min_length=1)
    """Built-in tasks or names defined under `tasks`."""
    teachers: list[Name | Annotated[list[Name], Field(min_length=1)]] = Field(min_length=1)
    """Names defined under `teachers`; a list of names makes cells that learn from several teachers at once."""
    methods: list[Name] = Field(min_length=1)
    """Names defined under `methods`, or presets: finetune, kd, pkd, tmkd, sm-tmkd, annealing-kd, continuation-kd."""
    baselines: list[Name] = Field(default=["finetune", "kd", "pkd"])
    """Methods that join a grid which has any with another objective than theirs, so that gains show; [] adds none."""
    students: list[Name] = Field(min_length=1)
    """Names defined under `students`."""
    augmentations: list[Name] = Field(default=["none"], min_length=1)
    """Names defined under `augmentations`, or `none`: the original rows alone."""
    fractions: list[Annotated[float, Field(gt=0, le=1)]] = Field(default=[1.0], min_length=1)
    """Shares of the training rows the students see: a seeded, stratified subset, the same one for every method."""
    seeds: list[Seed] = Field(min_length=1)
    """Seeds of the students' training."""
    searches: list[Name] = Field(default=[])
    """Names defined under `searches`: run with all their seeds and compared; those of students run in any case."""
    replications: list[Replication] = Field(default=[])
    """Seeds beyond `seeds` for some cells alone: `distilgrid decide` writes them where claims are undecided."""

    @model_validator(mode="after")
    def _each_once(self) -> "Grid":
        for axis, values in {**self.axes, "searches": self.searches}.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{axis} must list each value once, found {values}")
        twice = [label for label in self.teacher_labels if len(set(teacher_names(label))) < len(teacher_names(label))]
        if twice:
            raise ValueError(f"teachers must name each teacher of a cell once, found '{twice[0]}'")
        return self

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The values of each axis, as cells name them."""
        names = ("tasks", "teachers", "methods", "students", "augmentations", "fractions", "seeds")
        return {name: self.teacher_labels if name == "teachers" else getattr(self, name) for name in names}

    @property
    def teacher_labels(self) -> list[str]:
        """The entries of `teachers` as cells, paths and tables name them: several names are joined by "+"."""
        return [teacher_label(entry) for entry in self.teachers]

    @property
    def teacher_names(self) -> list[str]:
        """Every teacher that an entry names, once."""
        return list(dict.fromkeys(name for label in self.teacher_labels for name in teacher_names(label)))


class Teacher(Settings):
    """A pretrained model that is fine-tuned on each task and then teaches."""

    source: str
    """`hub:<name>@<revision>`, `path:<folder>`, `package:<distribution>`, or `new:<architecture>` for image tasks."""
    seed: Seed = 0
    """Seed of the teacher's own fine-tuning; every student of the grid learns from this one teacher."""
    rows: Literal["all", "students"] = "all"
    """Training rows that the teacher sees where students see a share: all of them, or those of its students."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this teacher."""
    note: str | None = None
    """What readers of scores must know of the model, such as data that it was tuned on. It is said where its
    students are shown or shipped: in tables, cards, pages of papers, deployed folders and MLflow."""


class GridStudent(Student):
    """A smaller model: the first k layers of its origin, chosen layers of it, or another shape."""

    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section, and from a method's own, for this student."""


class Features(Settings):
    """Rows in the plot of a teacher's features, and their projection to two dimensions."""

    rows: int = Field(default=300, ge=10)
    """Training rows in the plot, and at most as many mixed samples and rows of each augmentation."""
    projection: Literal["pca", "tsne"] = "pca"
    """`pca`: the two directions of largest variance; `tsne`: neighbours stay neighbours, distances mean little."""
    method: str | None = None
    """The grid's method whose mixing is shown; null takes the first that mixes."""


class Decide(Settings):
    """Adaptive replication: seeds are added until claims are decided, and only where they are not."""

    claims: Literal["all"] | Annotated[list[Name], Field(min_length=1)] = "all"
    """The ids of claims and joint claims that are worth more seeds, or `all`."""
    max_seeds: int = Field(default=20, ge=3)
    """The most seeds of a comparison. Levels of the looks on the way depend on it."""
    max_hours: float = Field(default=6.0, gt=0)
    """The most hours that the added jobs may take, summed over jobs: half as many on two cores."""
    margin: float | None = Field(default=1.0, gt=0)
    """The size in points below which an effect is negligible, for claims that say neither `margin` nor `minimum`; null
    lets none be negligible."""


class Report(Settings):
    """How results are compared."""

    baseline: Name = "finetune"
    """The method that others are compared with."""
    bootstrap_samples: int = Field(default=2000, ge=100, le=1_000_000)
    """Least number of resamples of the validation rows for each confidence interval; many comparisons take more."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Level of the confidence intervals."""
    claims: str | None = None
    """A file with a paper's claims and published numbers, to be judged and shown: grids/mixkd.claims.yaml."""
    decide: Decide | None = None
    """Add seeds until the claims are decided, by `distilgrid decide`; null judges them once, by the grid's seeds."""
    features: Features | None = None
    """Plot the teachers' features of original, mixed and augmented rows; null makes no such plot."""


class Resources(Settings):
    """How jobs run. Nothing here changes a result's path: a change recomputes nothing."""

    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads of each training job; several jobs run side by side on the other cores."""
    processes: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Processes that share each batch of a training job (data-parallel): one per GPU, or splitting its threads."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models train and answer, except where they are measured; `auto` takes a GPU where there is one, and `cuda`
    asks a cluster for one."""
    cells_per_gpu: int = Field(default=1, ge=1)
    """Jobs that may share a GPU of a machine; jobs side by side take different ones, and wait while all are taken."""
    deterministic: bool = True
    """On a GPU, only algorithms that give the same bits each time; they are slower. The CPU is always deterministic."""
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    """Time between two saves of a training or a recording; a killed job goes on from the last one, to the same bits."""
    log_level: Literal["debug", "info", "warning"] = "info"
    """How much the logs of jobs say."""
    warm_start: bool = True
    """Whether jobs fork from a process that has loaded torch, which saves each of them seconds; results are the same.
    Jobs on other machines start cold."""
    candidate_jobs: bool = False
    """Whether each candidate of a search is a separate job, concurrent within an episode, as suits a cluster; otherwise
    the search's own job estimates them one after the other."""


def mixing_method(features: Features, names: Sequence[str], methods: Mapping[str, BaseMethod]) -> str:
    """The method among `names` whose mixed samples are shown. Raises UserError when there is none."""
    mixing = [name for name in names if methods[name].mixing is not None]
    if not mixing:
        raise UserError("report.features: no method of the grid mixes samples; add one, or set report.features: null")
    name = features.method or mixing[0]
    if name not in mixing:
        hint = did_you_mean(name, mixing)
        raise UserError(f"report.features.method: '{name}' names no method of the grid that mixes samples; {hint}")
    return name
