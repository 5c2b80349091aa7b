"""The stage `supernet`: one model whose slices are all architectures of a space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Keys, Recipe, Stage
from distilgrid.stages.common import DATA, OUTPUTS, SEARCH, TASK, TEACHER, TEACHER_DIR

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.search.estimators.settings import SupernetSettings
    from distilgrid.search.space import AnySpace
    from distilgrid.training.settings import Training


@dataclass(frozen=True)
class SupernetStageSettings:
    """Settings of a trained supernet."""

    estimator: "SupernetSettings"  # of the supernet
    training: "Training"  # the common training settings
    space: "AnySpace"  # the architectures
    origin: str  # source of the pretrained model


def _settings(params: "Params", options: Mapping[str, Any]) -> SupernetStageSettings:
    from distilgrid.plan.names import named
    from distilgrid.plan.params import known_space

    name = options["search"]
    search = named(params.searches, name, kind="search")
    if search.estimator.kind != "supernet":
        raise UserError(f"--search: the estimator of '{name}' is {search.estimator.kind}, and needs no supernet")
    origin = named(params.teachers, options["teacher"], kind="teacher").source
    space = known_space(params, search.space)
    return SupernetStageSettings(search.estimator, params.training, space, origin)


def _recipe(chosen: SupernetStageSettings, keys: Keys) -> Recipe:
    from distilgrid.models.source import model_revision
    from distilgrid.search.estimators.registry import estimate_recipe

    origin = model_revision(chosen.origin)
    estimate = estimate_recipe(settings=chosen.estimator, training=chosen.training, origin=origin, inputs=keys)
    return {"space": chosen.space.model_dump(), **estimate}


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The supernet of a search; searches whose supernets have the same recipe share one."""
    task, teacher = names["task"], names["teacher"]
    inputs = planner.taught(task, teacher, names["search"])
    return planner.made("supernet", names, inputs, place=f"{task}/{teacher}/supernet")


STAGE = Stage(
    name="supernet",
    version=1,
    folder="supernets",
    files=("model.safetensors", "config.json", "supernet.json", "run.json"),
    summary="Train one model that holds every architecture of a space.",
    message="training the supernet",
    example="--task sst2 --teacher minilm-l6 --search supernet --data work/data "
    "--teacher-dir work/teacher --teacher-outputs work/outputs --out work/supernet",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(TASK, TEACHER, SEARCH),
    inputs=(DATA, TEACHER_DIR, OUTPUTS),
    axes=("task", "teacher"),
    target="searches",
    declared=("search/estimators/registry.py",),
    warm=True,
    seconds=300,
)
