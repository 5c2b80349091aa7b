"""Records of a grid: one for each finished model, each finished search and its trials, and one for the grid."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.finished import Finished, is_made, open_finished
from distilgrid.core.planned import Artefact
from distilgrid.core.schema import flat
from distilgrid.plan.expand import Plan
from distilgrid.reporting.learned import taught_by
from distilgrid.reporting.scoring import scoring
from distilgrid.tracking.datasets import DataSets
from distilgrid.tracking.measured import Measured
from distilgrid.tracking.record import GRID, Point, Record, UsedData, axes, cell_tags, span, text

CONSTANT = "constant"  # marks a model that answers the same for every row
SEARCH, TRIAL = "search", "trial"
CURVE = ("split", "name", "value", "step")  # columns of a history
MEASURED = ("reward", "quality", "score", "loss", "latency_ms", "seconds", "parameters")
SHOWN = ("score", "parameters", "train_seconds", "tokens_per_second", "peak_memory_mib", "optimistic_score")
FACTS = ("init", "precision", "layers", "hidden_size", "train_rows")  # outcomes of `auto`, defaults and fractions


def all_records(plan: Plan, results: Path) -> list[Record]:
    """The records below the grid's: of all finished models and searches. Without models there are none.

    Raises UserError when a file of a finished artefact is damaged.
    """
    cells = list(cell_records(plan, results))
    searches = [search for search in plan.of("search") if cells and is_made(results / search.folder)]
    return [*cells, *(record for each in searches for record in _search(plan, each, results / each.folder))]


def cell_records(plan: Plan, results: Path) -> Iterator[Record]:
    """The records of all finished teachers and students."""
    measured, data = Measured(plan, results), DataSets(plan, results)
    models = {model.folder: model for model in [*plan.teachers, *plan.students]}
    for model in models.values():
        if is_made(results / model.folder):
            yield _cell(plan, results / model.folder, model, measured, data.of(model))


def grid_record(plan: Plan, records: Iterable[Record]) -> Record:
    """The run above the cells, with the mean scores of the teacher and of the recipe that is best on dev, by task.

    Recipes with a student that answers the same for every row, or learned from a model that does, are never the best.
    """
    cells = [record for record in records if "cell" in record.tags]
    metrics = {"cells": float(len(cells)), "cells_planned": float(len(plan.teachers) + len(plan.students))}
    tags = {"grid": plan.params.grid.name, "folder": GRID, "role": GRID}
    failed = {task: _failed(plan, cells, task) for task in plan.params.grid.tasks}
    for task in plan.params.grid.tasks:
        merit = next((scoring(cell.tags["score_name"]).merit for cell in cells if cell.tags["task"] == task), float)
        for role, name in (("teacher", "teacher_score"), ("student", "best_score")):
            own = [cell for cell in cells if (cell.tags["task"], cell.tags["role"]) == (task, role)]
            own = [cell for cell in own if cell.tags["recipe"] not in failed[task]]
            if own:
                dev = _means(own, lambda cell: cell.metrics[f"dev_best/{cell.tags['score_name']}"])
                best = max(dev, key=lambda recipe: merit(dev[recipe]))
                means = _means(own, lambda cell: cell.metrics["score"])
                metrics[f"{name}/{task}"], tags[f"{name}.{task}"] = means[best], best
    started, ended = min(cell.started for cell in cells), max(cell.ended for cell in cells)
    return Record(GRID, plan.params.grid.name, started, ended, metrics=metrics, tags=tags)


def _failed(plan: Plan, cells: Sequence[Record], task: str) -> set[str]:
    """The recipes of a task's students that learned nothing, or learned from a model that did."""
    constant = {cell.place for cell in cells if CONSTANT in cell.tags}
    students = {student.folder: student for student in plan.students if student.labels["task"] == task}
    own = [cell for cell in cells if cell.place in students]
    return {
        cell.tags["recipe"]
        for cell in own
        if cell.place in constant or any(source.folder in constant for source in taught_by(students[cell.place]))
    }


def _means(cells: Iterable[Record], value: Callable[[Record], float]) -> dict[str, float]:
    """The mean of a value over the cells of each recipe."""
    scores: dict[str, list[float]] = {}
    for cell in cells:
        scores.setdefault(cell.tags["recipe"], []).append(value(cell))
    return {recipe: statistics.fmean(values) for recipe, values in scores.items()}


def _cell(plan: Plan, folder: Path, model: Artefact, measured: Measured, datasets: tuple[UsedData, ...]) -> Record:
    found = open_finished(folder, stage=model.stage, only=())
    run, metrics, of = found.run, found.json("metrics.json"), axes(model)
    started, ended = span(run)
    others, sources = measured.of(model, metrics)
    tags = cell_tags(plan, model) | {
        "score_name": metrics["score_name"],
        "mlflow.source.name": f"distilgrid {model.stage}",
    }
    if metrics.get(CONSTANT):
        tags[CONSTANT] = "yes"
    return Record(
        place=model.folder,
        name=f"{of['task']} / {tags['recipe']} / seed {of['seed']}",
        started=started,
        ended=ended,
        params=_params(model, metrics) | of,
        metrics=_metrics(metrics) | others,
        tags=tags | sources,
        curves=_curves(found, started=started, metrics=metrics),
        datasets=datasets,
    )


def _params(model: Artefact, metrics: Mapping[str, Any]) -> dict[str, str]:
    recipe = {name: value for name, value in model.recipe.items() if name not in ("stage", "version", "inputs")}
    recipe["data"] = model.recipe["inputs"]["data"]  # the keys of other inputs follow from the rest
    facts = {f"model.{fact}": metrics[fact] for fact in FACTS}
    facts |= {f"model.{name}": value for name, value in metrics.get("tuning", {}).get("chosen", {}).items()}
    return {name: text(value) for name, value in (flat(recipe) | facts).items()}


def _metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Scores, size and costs. Names are the same for every method, and the main metric is always `score`."""
    values = {name: metrics[name] for name in SHOWN if name in metrics}
    values["size_mb"] = round(metrics["size_bytes"] / 1e6, 2)
    for split, scores in metrics["validation"].items():
        values |= {f"{split}/{name}": value for name, value in scores.items()}
    values |= {f"dev_best/{name}": value for name, value in metrics["dev"].items()}
    for phase in metrics.get("phases", [])[:-1]:
        values |= {f"dev_best_{phase['name']}/{name}": value for name, value in phase["dev"].items()}
    return {name: float(value) for name, value in values.items()}


def _curves(cell: Finished, *, started: int, metrics: Mapping[str, Any]) -> list[Point]:
    """Losses on `train` and scores on `dev` by step. Time stamps spread evenly over the training time."""
    per_step = metrics["train_seconds"] * 1000 / max(metrics["steps"], 1)
    named = {"validation": "watched"}  # MLflow has one value for a name, and the score on a watched split has that one
    return [
        Point(f"{named.get(split, split)}/{name}", value, step, started + round(step * per_step))
        for split, name, value, step in cell.table("history.parquet")[list(CURVE)].itertuples(index=False)
        if name != "learning_rate"
    ]


def _search(plan: Plan, search: Artefact, folder: Path) -> Iterator[Record]:
    """The record of a search, before those of its trials."""
    found = open_finished(folder, stage=search.stage, only=())
    run, facts, table = found.run, found.json("search.json"), found.table("trials.parquet")
    trials: list[dict[str, Any]] = [{str(name): row[name] for name in row} for row in table.to_dict("records")]
    started, ended = span(run)
    of = {axis: text(value) for axis, value in search.labels.items()}
    name = f"{of['task']} / search {of['search']} / seed {of['seed']}"
    tags = of | {"grid": plan.params.grid.name, "role": SEARCH, "folder": search.folder}
    tags["mlflow.source.name"] = "distilgrid search"
    step = (ended - started) / max(len(trials), 1)
    curves = [
        Point("best_reward", trial["best_reward"], trial["number"], started + round(step * trial["number"]))
        for trial in trials
        if math.isfinite(trial["best_reward"])  # no trial before kept to the latency limit
    ]
    chosen = {part: facts[part] for part in ("controller", "estimator", "reward")}
    best = _measured(max((trial for trial in trials if not trial["penalty"]), key=lambda trial: trial["reward"]))
    metrics = {f"best/{metric}": value for metric, value in best.items()} | dict(facts["cost"])
    yield Record(search.folder, name, started, ended, params=of | chosen, metrics=metrics, tags=tags, curves=curves)
    for trial in trials:
        number = trial["number"]
        yield Record(
            place=f"{search.folder}/{TRIAL}-{number}",
            name=f"trial {number}: {trial['name']}",
            started=started + round(step * number),
            ended=started + round(step * (number + 1)),
            params={"name": trial["name"], "architecture": trial["architecture"], "episode": text(trial["episode"])},
            metrics=_measured(trial),
            tags=tags | {"role": TRIAL, "folder": f"{search.folder}/{TRIAL}-{number}"},
            above=search.folder,
        )


def _measured(trial: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(trial[name]) for name in MEASURED if math.isfinite(trial[name])}
