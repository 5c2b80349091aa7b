"""The stage `prepare`: rows of a task, checked and split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.stage import Keys, Recipe, Stage
from distilgrid.stages.common import TASK

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.tasks.settings import Data
    from distilgrid.tasks.sources import Folders
    from distilgrid.tasks.spec import TaskSpec


OWN_FILES = 5
"""Version of the splits of a user's files. Published rows come out as before, so the stage's version stays."""


@dataclass(frozen=True)
class PrepareSettings:
    """Settings of prepared data."""

    task: str  # the task's name
    spec: "TaskSpec"  # what the task is
    data: "Data"  # how its rows are split and capped
    folders: "Folders"  # local folders of published data sets
    max_length: int = 128  # longest input in tokens, which the log compares texts with


def _settings(params: "Params", options: Mapping[str, Any]) -> PrepareSettings:
    from distilgrid.plan.params import data_folders
    from distilgrid.tasks.spec import find_task

    task = options["task"]
    longest = params.training.max_length
    return PrepareSettings(task, find_task(task, params.tasks), params.data, data_folders(params), longest)


def _recipe(chosen: PrepareSettings, keys: Keys) -> Recipe:
    """The task, the source's revision, and how rows are split; the path of a user's file stays out."""
    from distilgrid.tasks.sources import source_revision
    from distilgrid.tasks.spec import DESCRIPTIVE, READING, foreign_fields

    spec = chosen.spec
    hidden = {"validation_source"} | ({"source"} if spec.own_file else {*READING, "id"})
    unset = set() if chosen.data.leave_out_near else {"leave_out_near"}  # keys of data without it stay
    hidden |= DESCRIPTIVE.union(foreign_fields(spec.task_kind))
    return {
        "spec": spec.model_dump(exclude=hidden),
        "revision": source_revision(spec, chosen.folders),
        "data": chosen.data.model_dump(exclude={"glue_dir", "cifar_dir", *unset}),
        **({"splits": OWN_FILES} if spec.own_file else {}),
    }


STAGE = Stage(
    name="prepare",
    version=2,
    folder="data",
    files=("train.parquet", "dev.parquet", "dataset.json", "run.json"),  # validation splits differ by task
    summary="Read, check and split a task's rows, and write parquet files.",
    message="preparing",
    example="--task docs-topic --out work/data",
    settings=_settings,
    recipe=_recipe,
    plan=lambda planner, names: planner.made("prepare", names, {}, place="{task}/{task}".format(**names)),
    options=(TASK,),
    axes=("task",),
    target="data",
    declared=("tasks/specs",),
    torch=False,
    threads=lambda _: 1,
    seconds=15,
)
