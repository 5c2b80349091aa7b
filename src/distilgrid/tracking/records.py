"""What MLflow shall show of a grid: one record per finished cell, made from the artefacts' own files. No MLflow here."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from distilgrid.artefacts import RUN, is_complete, read_json
from distilgrid.errors import UserError
from distilgrid.fingerprint import recipe_key
from distilgrid.grid import Artefact, Plan
from distilgrid.tracking.measured import Measured

GRID = "grid"  # the place and role of the run that stands for the whole grid


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
        place: its folder under the results folder, which ends in the cell's key; what a run is found again by.
        name: of the run.
        started: start in milliseconds since 1970.
        ended: end in milliseconds since 1970.
        params: what was asked for; never changes for a cell.
        metrics: scores, size, speed; grows as exports and benchmarks appear.
        tags: the axes of the grid and where the files are.
        curves: what happened during training.
    """

    place: str
    name: str
    started: int
    ended: int
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    curves: list[Point] = field(default_factory=list)

    @cached_property
    def trained(self) -> str:
        """A fingerprint of what MLflow cannot change in an existing run."""
        curves = [(p.name, p.value, p.step, p.time) for p in self.curves]
        return recipe_key({"name": self.name, "times": [self.started, self.ended], "params": self.params, "curves": curves})

    @cached_property
    def fingerprint(self) -> str:
        """A fingerprint of everything."""
        return recipe_key({"trained": self.trained, "metrics": self.metrics, "tags": self.tags})


def cell_records(plan: Plan, results: Path) -> Iterator[Record]:
    """The records of all teachers and students that are finished.

    Raises:
        UserError: when a file of a finished artefact is damaged.
    """
    measured = Measured(plan, results)
    for model in [*plan.teachers, *plan.students]:
        if is_complete(results / model.folder):
            yield _cell(plan, results, model, measured)


def grid_record(plan: Plan, cells: Iterable[Record]) -> Record:
    """The run that stands for the whole grid: for each task the teacher's and the best recipe's score, mean over seeds."""
    cells, metrics, tags = list(cells), {}, {}
    for task in plan.params.grid.tasks:
        for role, name in (("teacher", "teacher_score"), ("student", "best_score")):
            means = _means(cell for cell in cells if cell.tags["task"] == task and cell.tags["role"] == role)
            if means:
                best = max(means, key=lambda recipe: means[recipe])
                metrics[f"{name}/{task}"] = means[best]
                tags[f"{name}.{task}"] = best
    metrics |= {"cells": len(cells), "cells_planned": len(plan.teachers) + len(plan.students)}
    tags |= {"grid": plan.params.grid.name, "folder": GRID, "role": GRID}
    started, ended = min(cell.started for cell in cells), max(cell.ended for cell in cells)
    return Record(GRID, plan.params.grid.name, started, ended, {}, metrics, tags)


def _means(cells: Iterable[Record]) -> dict[str, float]:
    """The mean score over seeds of each recipe."""
    scores: dict[str, list[float]] = {}
    for cell in cells:
        scores.setdefault(cell.tags["recipe"], []).append(cell.metrics["score"])
    return {recipe: statistics.fmean(values) for recipe, values in scores.items()}


def _cell(plan: Plan, results: Path, model: Artefact, measured: Measured) -> Record:
    folder = results / model.folder
    run, metrics = read_json(folder / RUN), read_json(folder / "metrics.json")
    axes = {axis: _text(value) for axis, value in ({"augmentation": "none", "fraction": 1} | dict(model.labels)).items()}
    recipe = _title(axes, several_teachers=len(plan.params.grid.teachers) > 1)
    role = "teacher" if model.stage == "finetune" else "student"
    started = int(datetime.fromisoformat(run["started"]).timestamp() * 1000)
    found = measured.of(model, metrics)
    return Record(
        place=model.folder,
        name=f"{axes['task']} / {recipe} / seed {axes['seed']}",
        started=started,
        ended=started + round(run["seconds"] * 1000),
        params=_params(model, metrics) | axes,
        metrics=_metrics(metrics) | found.metrics,
        tags=axes
        | {"grid": plan.params.grid.name, "cell": model.key, "role": role, "recipe": recipe}
        | {"score_name": metrics["score_name"], "folder": model.folder, "mlflow.source.name": f"distilgrid {model.stage}"}
        | found.tags,
        curves=_curves(folder / "history.parquet", started, metrics),
    )


def _title(axes: Mapping[str, str], *, several_teachers: bool) -> str:
    """What tells one recipe of a task from another, the seed apart; defaults are left out."""
    parts = [axes["method"], axes["student"]]
    if several_teachers and axes["method"] != "teacher":
        parts[0] += f" from {axes['teacher']}"
    parts += [axes["augmentation"]] if axes["augmentation"] != "none" else []
    parts += [f"fraction {axes['fraction']}"] if axes["fraction"] != "1" else []
    return " / ".join(parts)


def _params(model: Artefact, metrics: Mapping[str, Any]) -> dict[str, str]:
    """The recipe, flattened, and what it came to: `auto` precision, default layers, a share of the rows."""
    facts = {f"model.{name}": metrics[name] for name in ("init", "precision", "layers", "hidden_size", "train_rows")}
    recipe = {name: value for name, value in model.recipe.items() if name not in ("stage", "version")}
    return {name: _text(value) for name, value in (_flat(recipe) | facts).items()}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}{name}.") if isinstance(inner, Mapping) else {f"{prefix}{name}": inner}
    return flat


def _text(value: Any) -> str:
    """A setting as MLflow keeps it: text, numbers in their shortest form."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Scores, size and cost of a cell: the same names whatever the method and the task's main metric."""
    values = {
        "score": metrics["score"],
        "parameters": metrics["parameters"],
        "size_mb": metrics["size_bytes"] / 1e6,
        "train_seconds": metrics["train_seconds"],
    }
    for split, scores in metrics["validation"].items():
        values |= {f"{split}/{name}": value for name, value in scores.items()}
    values |= {f"dev_best/{name}": value for name, value in metrics["dev"].items()}
    return {name: float(value) for name, value in values.items()}


def _curves(path: Path, started: int, metrics: Mapping[str, Any]) -> list[Point]:
    """Losses on `train` and scores on `dev` by step; time stamps spread evenly over the training time.

    Raises:
        UserError: when the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); remove {path.parent} and run its stage again") from None
    per_step = metrics["train_seconds"] * 1000 / max(metrics["steps"], 1)
    return [
        Point(f"{row['split']}/{row['name']}", row["value"], row["step"], started + round(row["step"] * per_step))
        for row in rows
        if row["name"] != "learning_rate"
    ]
