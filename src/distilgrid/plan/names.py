"""What the names in a command's options stand for. Light: no torch."""

from collections.abc import Mapping
from typing import TypeVar

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.methods.settings import Method, MixKD
from distilgrid.models.settings import Student
from distilgrid.plan.params import Params, effective_training, find_method
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.training.settings import Training

Named = TypeVar("Named")


def named(defined: Mapping[str, Named], name: str, *, kind: str) -> Named:
    """A definition of the parameters by its name.

    Raises:
        UserError: when nothing has that name, with a suggestion.
    """
    if name not in defined:
        raise UserError(f"--{kind}: unknown {kind} '{name}'; {did_you_mean(name, defined)}")
    return defined[name]


def teacher_length(params: Params, teacher: str) -> int:
    """The longest input of a teacher, in tokens."""
    return effective_training(params, named(params.teachers, teacher, kind="teacher").training).max_length


def origin_source(params: Params, student: Student, teacher: str) -> str:
    """The source of the model that a student starts from: the student's own, or the teacher's pretrained one."""
    return student.source or named(params.teachers, teacher, kind="teacher").source


def teacher_labels(task: str, name: str, seed: int, fraction: float = 1.0) -> dict[str, object]:
    """What tables say about a fine-tuned teacher."""
    return {"task": task, "teacher": name, "method": "teacher", "student": name, "seed": seed, "fraction": fraction}


def learning(params: Params, method: str, student: str | None = None) -> tuple[Method, Training]:
    """A method, and the training settings of its students, or of one of them.

    Raises:
        UserError: for an unknown name.
    """
    chosen = find_method(params, method)
    own = named(params.students, student, kind="student").training if student else {}
    return chosen, effective_training(params, chosen.training, own)


def mixing(params: Params, method: str, student: str | None = None) -> tuple[Mixup, Training]:
    """How a method mixes samples, and in which batches.

    Raises:
        UserError: for an unknown name, and a method that mixes none.
    """
    chosen, training = learning(params, method, student)
    if not isinstance(chosen, MixKD):
        raise UserError(f"--method: '{method}' mixes no samples; name one whose objective is mixkd")
    return chosen.mixup, training
