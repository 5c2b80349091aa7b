"""The stage `distill`: one cell of the grid, a student trained by one method."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from distilgrid.core.planned import Artefact
from distilgrid.core.schema import MAX_SEED
from distilgrid.core.stage import Input, Keys, Option, Recipe, Stage, passes
from distilgrid.stages import common
from distilgrid.stages.common import DATA, FRACTION, METHOD, MODELS, PROFILE, TASK, TEACHER, TEACHER_DIR

if TYPE_CHECKING:
    from distilgrid.methods.base import BaseMethod
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.plan.settings import GridStudent
    from distilgrid.training.settings import Training

AXES = ("task", "teacher", "method", "student", "augmentation", "fraction", "seed")


@dataclass(frozen=True)
class Course:
    """What the cells of one student and one method have in common."""

    method: "BaseMethod"  # how it learns
    student: "GridStudent"  # what it is
    origin: str  # source of the model that it starts from
    training: "Training"  # training settings

    @cached_property
    def recipe(self) -> Recipe:
        """The method with its declared version, the student, its origin's revision, and the training settings."""
        from distilgrid.models.source import model_revision

        student: Any = {"source": True, "training": True, "found": {"search", "seed"}}  # the search is an input
        return {
            "method": self.method.recipe(),
            "student": self.student.model_dump(exclude=student),
            "origin": model_revision(self.origin),
            "training": self.training.model_dump(),
        }


@dataclass(frozen=True)
class DistillSettings:
    """Settings of one cell."""

    course: Course  # method, student and training
    augmentation: str = "none"  # by name, or none
    fraction: float = 1.0  # share of the training rows
    seed: int = 0  # of training
    # longest input of each teacher, in tokens, which recordings are compared with; () takes any
    teacher_lengths: tuple[int, ...] = ()


def _settings(params: "Params", options: Mapping[str, Any]) -> DistillSettings:
    from distilgrid.plan.names import teacher_length
    from distilgrid.plan.teachers import teacher_names

    teacher, method, student = options["teacher"], options["method"], options["student"]
    course = params.remembered(
        f"course {teacher} {method} {student}", lambda: _course(params, teacher=teacher, method=method, student=student)
    )
    lengths = tuple(teacher_length(params, name) for name in teacher_names(teacher))
    return DistillSettings(course, options["augmentation"], options["fraction"], options["seed"], lengths)


def _course(params: "Params", *, teacher: str, method: str, student: str) -> Course:
    from distilgrid.plan.names import named, origin_source
    from distilgrid.plan.params import effective_training, find_method
    from distilgrid.plan.teachers import teacher_names

    for name in teacher_names(teacher):
        named(params.teachers, name, kind="teacher")
    how, own = find_method(params, method), named(params.students, student, kind="student")
    training = how.trained(effective_training(params, how.training, own.training))
    return Course(how, own, origin_source(params, own, teacher), training)


def _recipe(chosen: DistillSettings, keys: Keys) -> Recipe:
    """Method, student and training, and which rows in which order. Refuses inputs that they do not read."""
    from distilgrid.stages.distill.surplus import check_inputs

    check_inputs(chosen, keys)
    return {
        **chosen.course.recipe,
        "augmentation": chosen.augmentation,
        "fraction": chosen.fraction,
        "seed": chosen.seed,
        "inputs": keys,
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    from distilgrid.stages.distill.planning import student

    return student(planner, names)


def _wanted(planner: "Planner") -> Iterable[Artefact]:
    """Every cell of the grid."""
    return (planner.ask("distill", **cell) for cell in planner.cells)


TRIED = (
    "For a method that tunes its values: a folder that `distill` made with some of them; give it once for each. The "
    "student takes the values with the best score on dev."
)
repeated = partial(Input, required=False, several=True)

STAGE = Stage(
    name="distill",
    version=4,
    folder="students",
    files=common.MODEL_FILES,
    summary="Train one student by one method: a cell of the grid.",
    message="training",
    example="--task docs-topic --teacher minilm-l6 --method kd --student minilm-l3 --seed 0 "
    "--data work/data --teacher-outputs work/outputs --out work/student",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(
        TASK,
        TEACHER,
        METHOD,
        Option("student", "Name under `students` in the parameters."),
        replace(common.AUGMENTATION, default="none"),
        FRACTION,
        Option("seed", "Seed of the student's training.", int, 0, low=0, high=MAX_SEED),
        PROFILE,
    ),
    inputs=(
        DATA,
        common.AUGMENTED,
        repeated("teacher-dir", f"{TEACHER_DIR.help} Give it once for each teacher of the cell.", MODELS),
        repeated(
            "teacher-outputs",
            "A folder made by `record`, one more for augmented rows; without it the teacher runs live.",
            ("record",),
        ),
        repeated("mixed-outputs", "A folder made by `record --kind mixed-logits`; likewise.", ("record",)),
        repeated("tried", TRIED, MODELS),
        Input("search", "The search that found the student's shape.", ("search",), required=False),
        Input("supernet", "The supernet whose slice the student begins as.", ("supernet",), required=False),
    ),
    wanted=_wanted,
    said=common.scored,
    axes=AXES,
    target="students",
    declared=("methods/*/declare.py", "models/architectures.py"),
    warm=True,
    parallel=True,
    seconds=5.3,  # 32 for two thousand rows three times
    units=passes,
)
