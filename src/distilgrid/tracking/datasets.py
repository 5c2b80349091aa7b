"""Data of cells as MLflow datasets: one for each split, identified by the digest of its file."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.fingerprint import KEY_LENGTH
from distilgrid.core.finished import is_made, open_finished
from distilgrid.core.planned import Artefact, listed
from distilgrid.plan.expand import Plan
from distilgrid.tasks.spec import find_task
from distilgrid.tracking.record import UsedData, axes

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

TRAIN, AUGMENTED = "train", "augmented"
TYPES = {"double": "double", "float": "float", "int64": "long", "int32": "integer", "string": "string"}
"""MLflow's names of column types. All others are bytes."""


class DataSets:
    """The prepared data of a grid. Data that was removed after training is left out."""

    def __init__(self, plan: Plan, results: Path) -> None:
        self._plan, self._results = plan, results
        self._read = cache(self._splits)  # many cells share one data set

    def of(self, model: Artefact) -> tuple[UsedData, ...]:
        """The data that a teacher or student was trained, selected and scored on."""
        share = axes(model)["fraction"]
        used = list(self._read(self._plan.data[model.labels["task"]].folder, share))
        for rows in listed(model.inputs.get(AUGMENTED, [])):
            used += self._augmented(rows, share)
        return tuple(used)

    def _splits(self, folder: str, share: str) -> tuple[UsedData, ...]:
        if not is_made(self._results / folder):
            return ()
        found = open_finished(self._results / folder, stage="prepare", only=())
        run, facts = found.run, found.json("dataset.json")
        source = find_task(facts["task"], self._plan.params.tasks).source
        made_from = {"from": source, "revision": str(run["recipe"]["revision"])}
        return tuple(
            UsedData(
                name=facts["task"],
                digest=run["files"][f"{split}.parquet"][:KEY_LENGTH],
                context=split,
                source={"uri": f"{folder}/{split}.parquet", **made_from},
                columns=_columns(found.path(f"{split}.parquet")),
                profile={
                    "num_rows": counted["rows"],
                    "labels": counted.get("label_counts") or {},
                    **facts.get("found", {}).get(split, {}),
                },
                share=share if split == TRAIN else "1",
            )
            for split, counted in facts["splits"].items()
        )

    def _augmented(self, rows: Artefact, share: str) -> Iterator[UsedData]:
        folder, file = self._results / rows.folder, "train.parquet"
        if is_made(folder):
            found = open_finished(folder, stage=rows.stage, only=())
            yield UsedData(
                name=f"{rows.labels['task']} / {rows.labels['augmentation']}",
                digest=found.run["files"][file][:KEY_LENGTH],
                context=TRAIN,
                source={"uri": f"{rows.folder}/{file}", "from": rows.key},
                columns=_columns(found.path(file)),
                profile={"num_rows": found.json("samples.json")["rows"]},
                share=share,
            )


def _columns(path: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    return {field.name: TYPES.get(str(field.type).removeprefix("large_"), "binary") for field in pq.read_schema(path)}


def as_inputs(datasets: Iterable[UsedData]) -> "list[DatasetInput]":
    """Data as MLflow's entities."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    return [
        DatasetInput(
            Dataset(
                name=each.name,
                digest=each.digest,
                source_type="local",
                source=json.dumps(dict(each.source)),
                schema=json.dumps(
                    {"mlflow_colspec": [{"type": t, "name": n, "required": True} for n, t in each.columns.items()]}
                ),
                profile=json.dumps(dict(each.profile)),
            ),
            [InputTag(MLFLOW_DATASET_CONTEXT, each.context), InputTag("fraction", each.share)],
        )
        for each in datasets
    ]
