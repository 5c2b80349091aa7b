"""What the names in a command's options stand for. Light: no torch."""

from collections.abc import Mapping
from typing import TypeVar

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.plan.learners import Student
from distilgrid.plan.params import Params, effective_training, find_method
from distilgrid.plan.teachers import teacher_names
from distilgrid.signals.base import Signal
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.signals.registry import ROWS, find_signal
from distilgrid.tasks.spec import find_task
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
    """The longest input of a teacher, the first one of several, in tokens."""
    return effective_training(
        params, named(params.teachers, teacher_names(teacher)[0], kind="teacher").training
    ).max_length


def origin_source(params: Params, student: Student, teacher: str) -> str:
    """The source of the model that a student starts from: the student's own, or the first teacher's pretrained one."""
    return student.source or named(params.teachers, teacher_names(teacher)[0], kind="teacher").source


def teacher_labels(task: str, name: str, seed: int, fraction: float = 1.0) -> dict[str, object]:
    """What tables say about a fine-tuned teacher."""
    return {"task": task, "teacher": name, "method": "teacher", "student": name, "seed": seed, "fraction": fraction}


def signal_named(params: Params, kind: str, *, task: str, method: str, student: str | None) -> Signal:
    """What a teacher is asked for: a kind that any method can take, or one that a method describes.

    Raises:
        UserError: for unknown names, or a method that wants no such outputs.
    """
    if kind in ROWS:
        return ROWS[kind]
    chosen = find_method(params, method)
    own = named(params.students, student, kind="student").training if student else {}
    taught = chosen.taught(effective_training(params, chosen.training, own))
    viewed = find_task(task, params.tasks).task_kind.viewed
    seen = [signal.seen(viewed=viewed, taught=taught) for signal in chosen.signals()]
    return find_signal(kind, seen, method=method)


def mixing(params: Params, method: str) -> tuple[Mixup, Training]:
    """How a method mixes samples, and in which batches.

    Raises:
        UserError: for an unknown name, and a method that mixes none.
    """
    chosen = find_method(params, method)
    if chosen.mixing is None:
        raise UserError(f"--method: '{method}' mixes no samples; name one whose objective is mixkd")
    return chosen.mixing, effective_training(params, chosen.training)
