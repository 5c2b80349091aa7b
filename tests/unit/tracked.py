"""A finished grid, its MLflow store, and what the store holds."""

import sqlite3
from pathlib import Path
from typing import Any

from tests.unit.relisted import remade

from distilgrid.plan.expand import Artefact, Plan
from distilgrid.tracking import default_uri, track

KD = "reviews / kd / three / seed 0"
TABLES = ("metrics", "latest_metrics", "params", "tags", "inputs", "input_tags", "datasets", "runs", "experiment_tags")


class Store:
    """A plan, its results, and what MLflow holds of them."""

    def __init__(self, plan: Plan, results: Path) -> None:
        self.plan, self.results, self.uri = plan, results, default_uri(results)

    def track(self, plan: Plan | None = None) -> dict[str, Any]:
        return track(plan=plan or self.plan, results=self.results, uri=self.uri)

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs(self) -> dict[str, Any]:
        """The active runs by name."""
        experiment = self.client.get_experiment_by_name("distilgrid-fabricated")
        runs = self.client.search_runs([experiment.experiment_id])
        assert len({run.info.run_name for run in runs}) == len(runs)
        return {run.info.run_name: run for run in runs}

    def dump(self) -> list[str]:
        """Every row of every table."""
        with sqlite3.connect(self.results / "mlflow.db") as connection:
            return list(connection.iterdump())

    def folder(self, kind: list[Artefact], **labels: object) -> Path:
        """The folder of the one artefact with these labels."""
        (found,) = [a for a in kind if all(a.labels[name] == value for name, value in labels.items())]
        return self.results / found.folder

    def change(self, path: Path, **values: object) -> None:
        remade(path, values)

    def forget(self) -> None:
        """Empty the store, as if nothing had been tracked."""
        with sqlite3.connect(self.results / "mlflow.db") as connection:
            for table in TABLES:
                connection.execute(f"DELETE FROM {table}")
            connection.execute("DELETE FROM experiments WHERE name != 'Default'")
