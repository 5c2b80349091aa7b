"""The stage `augment`: new training rows made of the old ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.core.stage import Keys, Recipe, Stage
from distilgrid.models.source import model_revision
from distilgrid.plan.teachers import teacher_names
from distilgrid.stages.common import AUGMENTATION, DATA, FINETUNED, FRACTION, TASK, TEACHER, refuse_unread

if TYPE_CHECKING:
    from distilgrid.augmentation.base import Added
    from distilgrid.augmentation.unlabelled.declare import Pool
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner


@dataclass(frozen=True)
class AugmentSettings:
    """Settings of augmented rows."""

    augmentation: "Added"  # how rows are made
    pool: "Pool | None"  # where an augmentation that rewrites nothing finds its texts
    max_length: int  # of the teacher's inputs, in tokens
    fraction: float  # share of the training rows to augment: the students' own


def _settings(params: "Params", options: Mapping[str, Any]) -> AugmentSettings:
    from distilgrid.plan.names import named, teacher_length, text_pool

    task, name = options["task"], options["augmentation"]
    augmentation = named(params.augmentations, name, kind="augmentation")
    pool = text_pool(params, task=task, augmentation=name)
    length = teacher_length(params, options["teacher"])
    return AugmentSettings(augmentation, pool, length, options["fraction"])


def _recipe(chosen: AugmentSettings, keys: Keys) -> Recipe:
    """The settings, the code's version, the revisions of models and unlabelled texts, and which rows."""
    own = chosen.augmentation
    if own.needs_teacher and "teacher-dir" not in keys:
        raise UserError(f"augmentation '{own.kind}' needs a teacher; give --teacher-dir")
    unread = (not own.needs_teacher, f"augmentation '{own.kind}' with labels: {own.labels} asks no teacher;")
    refuse_unread({"teacher-dir": unread}, keys)
    return {
        "settings": own.recipe(),
        "models": [model_revision(source) for source in own.sources],
        "texts": chosen.pool.revisions() if chosen.pool else [],
        "fraction": chosen.fraction,
        "inputs": keys,
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The augmented rows of a student; of several teachers, the first one helps."""
    task, name, fraction = names["task"], names["augmentation"], names["fraction"]
    teacher = teacher_names(names["teacher"])[0]
    inputs: Inputs = {"data": planner.ask("prepare", task=task)}
    place = f"{task}/{name}"
    if planner.params.augmentations[name].needs_teacher:
        inputs["teacher-dir"] = planner.ask("finetune", task=task, teacher=teacher, fraction=fraction)
        place += f"/{teacher}"
    return planner.made("augment", {**names, "teacher": teacher}, inputs, place=f"{place}/frac-{fraction:g}/{name}")


STAGE = Stage(
    name="augment",
    version=3,
    folder="augmented",
    files=("train.parquet", "samples.json", "run.json"),
    summary="Make new training rows of the old ones.",
    message="augmenting",
    example="--task docs-topic --teacher minilm-l6 --augmentation eda --data work/data "
    "--teacher-dir work/teacher --grid grids/docs_mini.yaml --out work/augmented",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(TASK, TEACHER, AUGMENTATION, FRACTION),
    inputs=(DATA, replace(FINETUNED, required=False)),
    said=lambda count: [f"{count} augmented rows"],
    axes=("task", "teacher", "augmentation", "fraction"),
    target="teachers",
    declared=("augmentation/*.py", "augmentation/*/declare.py"),
    warm=True,
    place=lambda own, _: "asked" if own.augmentation.runs_model else "cpu",
    seconds=10,
    units=lambda _, rows: rows / 1000,
)
