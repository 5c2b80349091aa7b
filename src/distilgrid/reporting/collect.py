"""What a report reads: the small files of a plan's finished artefacts, verified; weights stay untouched."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import RUN, read_json, verified
from distilgrid.core.parquet import read_parquet
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.kind_table import find_kind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainedModel:
    """A trained teacher or student.

    Attributes:
        artefact: where it comes from in the plan.
        run: its `run.json`.
        metrics: its `metrics.json`.
        history: its `history.parquet`.
        predictions: its `predictions.parquet`.
    """

    artefact: Artefact
    run: dict[str, Any]
    metrics: dict[str, Any]
    history: "pd.DataFrame"
    predictions: "pd.DataFrame"

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return int(self.artefact.labels["seed"])


@dataclass(frozen=True)
class FinishedArtefact:
    """An artefact with what its own JSON file holds: `parity.json`, `benchmark.json`, `samples.json`."""

    artefact: Artefact
    run: dict[str, Any]
    values: dict[str, Any]


@dataclass(frozen=True)
class Points:
    """A teacher's features in two dimensions.

    Attributes:
        artefact: where they come from in the plan.
        run: its `run.json`.
        values: its `features.json`.
        frame: its `features.parquet`.
    """

    artefact: Artefact
    run: dict[str, Any]
    values: dict[str, Any]
    frame: "pd.DataFrame"


@dataclass(frozen=True)
class Searched:
    """A finished search of architectures.

    Attributes:
        artefact: where it comes from in the plan.
        run: its `run.json`.
        values: its `search.json`.
        best: its `best.json`, the highest reward first.
        frame: its `trials.parquet`.
    """

    artefact: Artefact
    run: dict[str, Any]
    values: dict[str, Any]
    best: list[dict[str, Any]]
    frame: "pd.DataFrame"

    @property
    def seed(self) -> int:
        """The seed of its controller."""
        return int(self.artefact.labels["seed"])


@dataclass(frozen=True)
class Collected:
    """Everything a report is made from.

    Attributes:
        plan: the grid's.
        datasets: `dataset.json` by task.
        models: teachers, then students, in the plan's order.
        helpers: `metrics.json` of models on the way to students: assistants, and candidates of searches.
        exports: accepted and rejected ones.
        benchmarks: one for each device, task and teacher.
        augmented: `samples.json` of augmented rows.
        features: one for each task and teacher, where the report wants them.
        searches: one for each task, teacher, search and seed.
        runs: the `run.json` of every artefact of the plan but the report, in the order of their making.
    """

    plan: Plan
    datasets: dict[str, dict[str, Any]]
    models: list[TrainedModel]
    helpers: list[FinishedArtefact]
    exports: list[FinishedArtefact]
    benchmarks: list[FinishedArtefact]
    augmented: list[FinishedArtefact]
    features: list[Points]
    searches: list[Searched]
    runs: list[dict[str, Any]]

    def task_kind(self, task: str) -> TaskKind:
        """What a task's rows are."""
        return find_kind(self.datasets[task]["kind"])

    def reads_images(self, task: str) -> bool:
        """Whether a task's inputs are images."""
        return self.task_kind(task).modality == "image"

    @property
    def main_benchmarks(self) -> list[FinishedArtefact]:
        """The benchmarks on the first device, whose latencies main tables show."""
        first = self.plan.params.benchmark.devices[0]
        return [benchmark for benchmark in self.benchmarks if benchmark.artefact.labels["device"] == first]


def collect(plan: Plan, results: Path) -> Collected:
    """The results of a finished grid.

    Raises:
        UserError: when an artefact of the plan is missing or damaged, naming the first one.
    """
    return Collected(
        plan=plan,
        datasets={task: _measurement(data, results, "dataset.json").values for task, data in plan.data.items()},
        models=[_model(model, results) for model in [*plan.teachers, *plan.students]],
        helpers=[_measurement(helper, results, "metrics.json") for helper in plan.helpers],
        exports=[_measurement(export, results, "parity.json") for export in plan.exports],
        benchmarks=[_measurement(benchmark, results, "benchmark.json") for benchmark in plan.benchmarks],
        augmented=[_measurement(rows, results, "samples.json") for rows in plan.augmented],
        features=[_points(points, results) for points in plan.features],
        searches=[_searched(search, results) for search in plan.searches],
        runs=[read_json(results / made.folder / RUN) for made in plan.artefacts.values() if made != plan.report],
    )


def _measurement(artefact: Artefact, results: Path, name: str) -> FinishedArtefact:
    folder = results / artefact.folder
    return FinishedArtefact(artefact, _run(artefact, folder, name), read_json(folder / name))


def _model(artefact: Artefact, results: Path) -> TrainedModel:
    folder = results / artefact.folder
    return TrainedModel(
        artefact=artefact,
        run=_run(artefact, folder, "metrics.json", "history.parquet", "predictions.parquet"),
        metrics=read_json(folder / "metrics.json"),
        history=read_parquet(folder / "history.parquet"),
        predictions=read_parquet(folder / "predictions.parquet"),
    )


def _points(artefact: Artefact, results: Path) -> Points:
    folder = results / artefact.folder
    run = _run(artefact, folder, "features.json", "features.parquet")
    return Points(artefact, run, read_json(folder / "features.json"), read_parquet(folder / "features.parquet"))


def _searched(artefact: Artefact, results: Path) -> Searched:
    folder = results / artefact.folder
    run = _run(artefact, folder, "search.json", "best.json", "trials.parquet")
    values, best = (read_json(folder / name) for name in ("search.json", "best.json"))
    return Searched(artefact, run, values, best, read_parquet(folder / "trials.parquet"))


def _run(artefact: Artefact, folder: Path, *names: str) -> dict[str, Any]:
    return verified(folder, stage=artefact.stage, only=names)
