"""Records: the wanted content of MLflow runs as plain values, and the names of cells in it. Light: no MLflow."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.reporting.noted import sentences, teacher_notes

GRID = "grid"  # place and role of the run of a whole grid
NOTED = "teacher_note"  # tag of what the parameters note on a cell's teachers
DEFAULTS = {"augmentation": "none", "fraction": 1.0}  # of teachers, which have no value on these axes


def span(run: Mapping[str, Any]) -> tuple[int, int]:
    """The start and the end of a `run.json`, in milliseconds since 1970."""
    started = round(datetime.fromisoformat(run["started"]).timestamp() * 1000)
    return started, started + round(run["seconds"] * 1000)


@dataclass(frozen=True)
class Point:
    """One value of a curve, with its time in milliseconds since 1970."""

    name: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class UsedData:
    """A split of prepared data, or augmented rows, that a run used."""

    name: str  # the task, with the augmentation if any
    digest: str  # 12 hex digits of the file's digest
    context: str  # `train`, `dev` or a validation split
    source: Mapping[str, str]  # the file's place under the results folder, and its origin
    columns: Mapping[str, str]  # MLflow's types of the file's columns, by name
    profile: Mapping[str, Any]  # facts such as the number of rows
    share: str = "1"  # the share of the rows that the run used


@dataclass(frozen=True)
class Record:
    """One MLflow run."""

    place: str  # the artefact's folder under the results folder, which identifies the run
    name: str  # the run's name
    started: int  # milliseconds since 1970
    ended: int  # milliseconds since 1970
    params: dict[str, str] = field(default_factory=dict)  # settings as text
    metrics: dict[str, float] = field(default_factory=dict)  # scores, size and speed. Exports and benchmarks add more.
    tags: dict[str, str] = field(default_factory=dict)  # the axes of the grid, and the folders of the files
    curves: list[Point] = field(default_factory=list)  # values during training
    above: str = GRID  # the place of the parent run
    datasets: tuple[UsedData, ...] = ()  # the data of training, selection and scoring

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the record. Its parts are nested as in stores of earlier versions."""
        curves = [(point.name, point.value, point.step, point.time) for point in self.curves]
        trained = recipe_key({"name": self.name, "params": self.params, "curves": curves})
        times = [self.started, self.ended]
        made: dict[str, Any] = {"trained": trained, "times": times, "metrics": self.metrics, "tags": self.tags}
        if self.datasets:
            made["datasets"] = [asdict(dataset) for dataset in self.datasets]
        return recipe_key(made)


def text(value: Any) -> str:
    """A setting as text, with numbers in their shortest form."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def axes(model: Artefact) -> dict[str, str]:
    """Task, teacher, method, student, augmentation, fraction and seed of a model."""
    return {axis: text(value) for axis, value in (DEFAULTS | dict(model.labels)).items()}


def role_of(model: Artefact) -> str:
    """`teacher` or `student`."""
    return "teacher" if model.stage == "finetune" else "student"


def recipe_name(plan: Plan, of: Mapping[str, str]) -> str:
    """The name of a table row within its task, such as `kd / minilm-l3`, without defaults."""
    method = of["method"]
    teachers = {teacher.labels["teacher"] for teacher in plan.teachers if teacher.labels["task"] == of["task"]}
    if len(teachers) > 1 and method != "teacher":
        method += f" from {of['teacher']}"
    parts = [method, of["student"]]
    parts += [of["augmentation"]] if of["augmentation"] != "none" else []
    parts += [f"fraction {of['fraction']}"] if of["fraction"] != "1" else []
    return " / ".join(parts)


def cell_tags(plan: Plan, cell: Artefact) -> dict[str, str]:
    """The tags of a cell's run and of its registered model, with the notes on its teachers, if any."""
    of = axes(cell)
    noted = sentences(teacher_notes(plan.params, [str(cell.labels["teacher"])]))
    more = {"grid": plan.params.grid.name, "folder": cell.folder, "cell": cell.key}
    more |= {NOTED: noted} if noted else {}
    return of | more | {"role": role_of(cell), "recipe": recipe_name(plan, of)}
