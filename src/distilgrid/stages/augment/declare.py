"""The stage `augment`: new training rows made of the old ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.core.stage import Keys, Recipe, Stage
from distilgrid.stages.common import AUGMENTATION, DATA, FINETUNED_OR_NONE, FRACTION, TASK, TEACHER

if TYPE_CHECKING:
    from distilgrid.augmentation.base import Added, LentTexts
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner


@dataclass(frozen=True)
class AugmentSettings:
    """Settings of augmented rows."""

    augmentation: "Added"  # how rows are made
    pool: "LentTexts | None"  # where an augmentation that rewrites nothing finds its texts
    max_length: int  # of the teacher's inputs, in tokens
    fraction: float  # share of the training rows to augment: the students' own
    subset_seed: int  # of that share; the key of the data holds it
    labels: Mapping[str, Any]  # what tables say about the rows


def settings(params: "Params", options: Mapping[str, Any]) -> AugmentSettings:
    """Resolve the augmentation and the teacher.

    Raises:
        UserError: for an unknown name.
    """
    from distilgrid.plan.lent_texts import text_pool
    from distilgrid.plan.names import named, teacher_length

    task, name = options["task"], options["augmentation"]
    augmentation = named(params.augmentations, name, kind="augmentation")
    pool = text_pool(params, task=task, augmentation=name)
    labels = {axis: options[axis] for axis in ("task", "teacher", "augmentation", "fraction")}
    length = teacher_length(params, options["teacher"])
    return AugmentSettings(augmentation, pool, length, options["fraction"], params.data.seed, labels)


def recipe(chosen: AugmentSettings, keys: Keys) -> Recipe:
    """The settings with the code's version, models' revisions, what unlabelled texts follow from, and which rows.

    Raises:
        UserError: when the teacher is missing, a model, or a task of the pool.
    """
    from distilgrid.models.source import model_revision

    own = chosen.augmentation
    if own.needs_teacher and "teacher-dir" not in keys:
        raise UserError(f"augmentation '{own.kind}' needs a teacher; give --teacher-dir")
    return {
        "settings": own.recipe(),
        "models": [model_revision(source) for source in own.sources],
        "texts": chosen.pool.revisions() if chosen.pool else [],
        "fraction": chosen.fraction,
        "inputs": keys,
    }


def plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The augmented rows of a student; of several teachers, the first one helps."""
    from distilgrid.plan.teachers import teacher_names

    options = {axis: names[axis] for axis in ("task", "teacher", "augmentation", "fraction")}
    task, name, fraction = options["task"], options["augmentation"], options["fraction"]
    options["teacher"] = teacher = teacher_names(options["teacher"])[0]
    inputs: Inputs = {"data": planner.ask("prepare", task=task)}
    place = f"{task}/{name}"
    if planner.params.augmentations[name].needs_teacher:
        inputs["teacher-dir"] = planner.ask("finetune", task=task, teacher=teacher, fraction=fraction)
        place += f"/{teacher}"
    return planner.made("augment", options, inputs, place=f"{place}/frac-{fraction:g}/{name}")


def said(count: int) -> Iterator[str]:
    """How many rows there are."""
    yield f"{count} augmented rows"


STAGE = Stage(
    name="augment",
    version=1,
    folder="augmented",
    files=("train.parquet", "samples.json", "run.json"),
    summary="Make new training rows of the old ones.",
    message="augmenting",
    example="--task docs-topic --teacher minilm-l6 --augmentation eda --data work/data "
    "--teacher-dir work/teacher --out work/augmented",
    settings=settings,
    recipe=recipe,
    plan=plan,
    run="distilgrid.stages.augment.run:augment",
    options=(TASK, TEACHER, AUGMENTATION, FRACTION),
    inputs=(DATA, FINETUNED_OR_NONE),
    said=said,
    target="teachers",
    declared=("augmentation/*.py", "augmentation/*/declare.py"),
    warm=True,
    seconds=20,
)
