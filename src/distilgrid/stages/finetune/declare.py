"""The stage `finetune`: a pretrained model, trained on a task's hard labels, that will teach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.planned import TEACHER as TEACHER_METHOD
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.core.stage import Keys, Recipe, Stage, passes
from distilgrid.models.source import model_revision
from distilgrid.stages.common import DATA, FRACTION, MODEL_FILES, PROFILE, TASK, TEACHER, scored

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.training.settings import Training


@dataclass(frozen=True)
class FinetuneSettings:
    """Settings of a fine-tuned teacher."""

    source: str  # of the pretrained model
    training: "Training"  # training settings
    seed: int  # of training
    fraction: float  # share of the training rows


def _settings(params: "Params", options: Mapping[str, Any]) -> FinetuneSettings:
    from distilgrid.plan.names import named
    from distilgrid.plan.params import effective_training

    teacher = named(params.teachers, options["teacher"], kind="teacher")
    training = effective_training(params, teacher.training)
    return FinetuneSettings(teacher.source, training, teacher.seed, options["fraction"])


def _recipe(chosen: FinetuneSettings, keys: Keys) -> Recipe:
    from distilgrid.methods.finetune.declare import Finetune

    return {
        "method": Finetune.version,
        "model": model_revision(chosen.source),
        "training": chosen.training.model_dump(),
        "seed": chosen.seed,
        "fraction": chosen.fraction,
        "inputs": keys,
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """A teacher of students that see a fraction of the rows; most teachers see all rows."""
    from distilgrid.plan.fits import check_teacher

    task, name = names["task"], names["teacher"]
    teacher = planner.params.teachers[name]
    fraction = names["fraction"] if teacher.rows == "students" else 1.0
    part = "" if fraction == 1 else f"frac-{fraction:g}/"
    check_teacher(planner.params, name)
    inputs: Inputs = {"data": planner.ask("prepare", task=task)}
    place = f"{task}/{name}/{part}seed-{teacher.seed}"
    return planner.made("finetune", {**names, "fraction": fraction}, inputs, place=place)


STAGE = Stage(
    name="finetune",
    version=4,
    folder="teachers",
    files=MODEL_FILES,
    summary="Fine-tune a teacher on a task's labels.",
    message="fine-tuning the teacher",
    example="--task docs-topic --teacher minilm-l6 --data work/data --out work/teacher",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(TASK, TEACHER, FRACTION, PROFILE),
    inputs=(DATA,),
    said=scored,
    axes=("task", "teacher", "fraction"),
    labelled=lambda own, options: {"method": TEACHER_METHOD, "student": options["teacher"], "seed": own.seed},
    target="teachers",
    declared=("methods/finetune/declare.py", "models/architectures.py"),
    warm=True,
    parallel=True,
    seconds=15,  # 90 for two thousand rows three times
    units=passes,
)
