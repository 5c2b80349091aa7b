"""The stage `supernet`: one model whose slices are all architectures of a space."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Stage
from distilgrid.stages.common import DATA, OUTPUTS, SEARCH, TASK, TEACHER, TEACHER_DIR
from distilgrid.stages.search.declare import STAGE as SEARCHES
from distilgrid.stages.search.declare import SearchStageSettings, estimated

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner


def _settings(params: "Params", options: Mapping[str, Any]) -> SearchStageSettings:
    chosen = SEARCHES.settings(params, options)
    kind = chosen.search.estimator.kind
    if kind != "supernet":
        raise UserError(f"--search: the estimator of '{options['search']}' is {kind}, and needs no supernet")
    return chosen


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The supernet of a search; searches whose supernets have the same recipe share one."""
    task, teacher = names["task"], names["teacher"]
    inputs = planner.taught(task, teacher, names["search"])
    return planner.made("supernet", names, inputs, place=f"{task}/{teacher}/supernet")


STAGE = Stage(
    name="supernet",
    version=2,
    folder="supernets",
    files=("model.safetensors", "config.json", "supernet.json", "run.json"),
    summary="Train one model that holds every architecture of a space.",
    message="training the supernet",
    example="--task docs-topic --teacher minilm-l6 --search supernet --data work/data "
    "--teacher-dir work/teacher --teacher-outputs work/outputs --grid grids/docs_mini.yaml "
    "--out work/supernet",
    settings=_settings,
    recipe=lambda chosen, keys: {"space": chosen.space.model_dump(), **chosen.estimate(keys)},
    plan=_plan,
    options=(TASK, TEACHER, SEARCH),
    inputs=(DATA, TEACHER_DIR, OUTPUTS),
    axes=("task", "teacher"),
    target="searches",
    declared=("search/estimators/registry.py",),
    warm=True,
    seconds=21,  # measured on SST-2: 84 for half of 8,000 rows
    units=estimated,
)
