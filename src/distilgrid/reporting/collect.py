"""The finished artefacts behind a report: small files of a plan, verified. Weights are not read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import Plan
from distilgrid.tasks.kind import TaskKind, find_kind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainedModel:
    """A trained teacher or student: its place in the plan, and its files by name."""

    artefact: Artefact
    run: Mapping[str, Any]
    metrics: dict[str, Any]
    history: "pd.DataFrame"
    predictions: "pd.DataFrame"

    @property
    def seed(self) -> int:
        """The training seed."""
        return int(self.artefact.labels["seed"])

    def dev(self, metric: str) -> "pd.DataFrame":
        """The part of the history with a metric on dev."""
        return self.history[(self.history["split"] == "dev") & (self.history["name"] == metric)]


@dataclass(frozen=True)
class FinishedArtefact:
    """An artefact with its `run.json` and one JSON file: `parity.json`, `benchmark.json`, `samples.json`."""

    artefact: Artefact
    run: Mapping[str, Any]
    values: dict[str, Any]


@dataclass(frozen=True)
class Points(FinishedArtefact):
    """A teacher's features in two dimensions: `features.json`, and `features.parquet` as the frame."""

    frame: "pd.DataFrame"


@dataclass(frozen=True)
class Searched(FinishedArtefact):
    """A finished architecture search: `search.json`, `best.json` (highest reward first), `trials.parquet`."""

    best: list[dict[str, Any]]
    frame: "pd.DataFrame"

    @property
    def seed(self) -> int:
        """The controller's seed."""
        return int(self.artefact.labels["seed"])


Kept = TypeVar("Kept", TrainedModel, FinishedArtefact, Points, Searched)


@dataclass(frozen=True)
class Collected:
    """Everything that a report is made from."""

    plan: Plan  # the grid's plan
    datasets: dict[str, dict[str, Any]]  # `dataset.json` by task
    models: list[TrainedModel]  # teachers, then students, in the plan's order
    helpers: list[FinishedArtefact]  # `metrics.json` of assistants and of the models that tuning tried
    exports: list[FinishedArtefact]  # accepted and rejected ones
    benchmarks: list[FinishedArtefact]  # one for each device, task and teacher
    augmented: list[FinishedArtefact]  # `samples.json` of augmented rows
    features: list[Points]  # one for each task and teacher, where the report asks for them
    searches: list[Searched]  # one for each task, teacher, search and seed
    runs: list[Mapping[str, Any]]  # `run.json` of every artefact except the report, in the plan's order

    def task_kind(self, task: str) -> TaskKind:
        """The kind of a task's rows."""
        return find_kind(self.datasets[task]["kind"])

    def reads_images(self, task: str) -> bool:
        """Whether a task's rows have no tokens, as images."""
        return not self.task_kind(task).tokenised

    @property
    def main_benchmarks(self) -> list[FinishedArtefact]:
        """The benchmarks on the first device: main tables show their latencies."""
        first = self.plan.params.benchmark.devices[0]
        return [benchmark for benchmark in self.benchmarks if benchmark.artefact.labels["device"] == first]


def run_it(results: Path) -> str:
    """The end of a message about results that a grid does not have: it was not run, or another one is meant."""
    names = sorted({report.name.rpartition("-")[0] for report in (results / "reports").glob("*-*")})
    known = f" (it has reports of: {', '.join(names[:5])})" if names else ""
    return f"run the grid first, or name the file of the one that was run: --grid FILE{known}"


def collect(plan: Plan, results: Path) -> Collected:
    """Read the results of a finished grid.

    Raises:
        UserError: when artefacts of the plan are missing, or naming the first one that is damaged.
    """
    needed = [artefact.folder for artefact in plan.artefacts.values() if artefact != plan.report]
    missing = [folder for folder in needed if not (results / folder).is_dir()]
    if missing:
        name, count = plan.params.grid.name, f"{len(missing)} of its {len(needed)} artefacts"
        raise UserError(f"grid '{name}': {count} are not in {results}, such as {missing[0]}; {run_it(results)}")

    def read(cls: type[Kept], artefact: Artefact, *names: str) -> Kept:
        found = open_finished(results / artefact.folder, stage=artefact.stage, only=names)
        contents: list[Any] = [found.json(name) if name.endswith(".json") else found.table(name) for name in names]
        return cls(artefact, found.run, *contents)

    def values(artefacts: list[Artefact], name: str) -> list[FinishedArtefact]:
        return [read(FinishedArtefact, artefact, name) for artefact in artefacts]

    model_files = ("metrics.json", "history.parquet", "predictions.parquet")
    return Collected(
        plan=plan,
        datasets={task: read(FinishedArtefact, data, "dataset.json").values for task, data in plan.data.items()},
        models=[read(TrainedModel, model, *model_files) for model in [*plan.teachers, *plan.students]],
        helpers=values(plan.helpers, "metrics.json"),
        exports=values(plan.of("export"), "parity.json"),
        benchmarks=values(plan.of("benchmark"), "benchmark.json"),
        augmented=values(plan.of("augment"), "samples.json"),
        features=[read(Points, points, "features.json", "features.parquet") for points in plan.of("features")],
        searches=[read(Searched, each, "search.json", "best.json", "trials.parquet") for each in plan.of("search")],
        runs=[
            open_finished(results / made.folder, stage=made.stage, only=()).run
            for made in plan.artefacts.values()
            if made != plan.report
        ],
    )
