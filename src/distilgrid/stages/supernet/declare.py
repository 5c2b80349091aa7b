"""The stage `supernet`: one model whose slices are all architectures of a space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Input, Keys, Recipe, Stage
from distilgrid.stages.common import DATA, SEARCH, TASK, TEACHER, TEACHER_GIVEN

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.search.estimators.settings import SupernetSettings
    from distilgrid.search.space import AnySpace
    from distilgrid.training.settings import Training


@dataclass(frozen=True)
class SupernetStageSettings:
    """Settings of a trained supernet.

    Attributes:
        estimator: of the supernet.
        training: the common training settings.
        space: the architectures.
        origin: source of the pretrained model.
        subset_seed: of the rows that it learns from.
        labels: what tables say about it.
    """

    estimator: "SupernetSettings"
    training: "Training"
    space: "AnySpace"
    origin: str
    subset_seed: int
    labels: Mapping[str, Any]


def settings(params: "Params", options: Mapping[str, Any]) -> SupernetStageSettings:
    """Resolve the search and the teacher.

    Raises:
        UserError: for an unknown name, and a search that asks no supernet.
    """
    from distilgrid.plan.names import named
    from distilgrid.plan.params import known_space

    name, teacher = options["search"], options["teacher"]
    search = named(params.searches, name, kind="search")
    if search.estimator.kind != "supernet":
        raise UserError(f"--search: the estimator of '{name}' is {search.estimator.kind}, and needs no supernet")
    origin = named(params.teachers, teacher, kind="teacher").source
    space, labels = known_space(params, search.space), {"task": options["task"], "teacher": teacher}
    return SupernetStageSettings(search.estimator, params.training, space, origin, params.data.seed, labels)


def recipe(chosen: SupernetStageSettings, keys: Keys) -> Recipe:
    """The training, the space that it holds, and the pretrained model's revision."""
    from distilgrid.models.source import model_revision
    from distilgrid.search.estimators.registry import estimate_recipe

    origin = model_revision(chosen.origin)
    estimate = estimate_recipe(settings=chosen.estimator, training=chosen.training, origin=origin, inputs=keys)
    return {"space": chosen.space.model_dump(), **estimate}


def plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The supernet of a search, known by what it is made from, whichever search asks first."""
    task, teacher, search = (names[axis] for axis in ("task", "teacher", "search"))
    options = {"task": task, "teacher": teacher, "search": search}
    return planner.made("supernet", options, planner.taught(task, teacher, search), place=f"{task}/{teacher}/supernet")


OUTPUTS = Input("teacher-outputs", "A folder made by `record`, of the kind that the estimator needs.", ("record",))

STAGE = Stage(
    name="supernet",
    version=1,
    folder="supernets",
    files=("model.safetensors", "config.json", "supernet.json", "run.json"),
    summary="Train one model that holds every architecture of a space.",
    message="training the supernet",
    example="--task sst2 --teacher minilm-l6 --search supernet --data work/data "
    "--teacher-dir work/teacher --teacher-outputs work/outputs --out work/supernet",
    settings=settings,
    recipe=recipe,
    plan=plan,
    run="distilgrid.stages.supernet.run:supernet",
    options=(TASK, TEACHER, SEARCH),
    inputs=(DATA, TEACHER_GIVEN, OUTPUTS),
    target="searches",
    declared=("search/estimators/registry.py",),
    warm=True,
    seconds=300,
)
