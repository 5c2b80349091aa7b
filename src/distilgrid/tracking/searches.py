"""Records of architecture searches: one for each search, and below it one for each trial."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import RUN, is_complete, read_json
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.tracking.naming import text
from distilgrid.tracking.record import Point, Record, span

SEARCH, TRIAL = "search", "trial"
MEASURED = ("reward", "quality", "score", "loss", "latency_ms", "seconds", "parameters")


def search_records(plan: Plan, results: Path) -> Iterator[Record]:
    """The records of all finished searches, each before those of its trials.

    Raises:
        UserError: when a file of a finished search is damaged.
    """
    for search in plan.searches:
        folder = results / search.folder
        if is_complete(folder):
            yield from _records(plan, search, folder)


def _records(plan: Plan, search: Artefact, folder: Path) -> Iterator[Record]:
    from distilgrid.core.parquet import read_parquet

    run, facts = read_json(folder / RUN), read_json(folder / "search.json")
    table = read_parquet(folder / "trials.parquet")
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
    ]
    chosen = {part: facts[part] for part in ("controller", "estimator", "reward")}
    best = _measured(max(trials, key=lambda trial: trial["reward"]))
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
