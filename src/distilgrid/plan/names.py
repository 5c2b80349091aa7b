"""Resolution of the names in a command's options. Light: no torch."""

from collections.abc import Mapping
from typing import TypeVar

from distilgrid.augmentation.base import LentTexts
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.plan.learners import GridStudent, Teacher
from distilgrid.plan.params import Params, data_folders, effective_training, find_method
from distilgrid.plan.teachers import teacher_names
from distilgrid.signals.base import ROWS, Signal
from distilgrid.tasks.spec import find_task

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
    return effective_training(params, first_teacher(params, teacher).training).max_length


def first_teacher(params: Params, label: str) -> Teacher:
    """The first teacher of a label."""
    return named(params.teachers, teacher_names(label)[0], kind="teacher")


def origin_source(params: Params, student: GridStudent, teacher: str) -> str:
    """The source of the model that a student starts from: its own, or the first teacher's pretrained one."""
    return student.source or first_teacher(params, teacher).source


def signal_named(params: Params, kind: str, *, task: str, method: str | None, student: str | None) -> Signal:
    """The signal of a kind: one that any method can take, or one that a method describes.

    Raises:
        UserError: for unknown names, or a method that wants no such outputs.
    """
    chosen = None if method is None else find_method(params, method)
    if kind in ROWS:
        return ROWS[kind]
    if chosen is None or method is None:
        raise UserError(f"--kind: '{kind}' is none of {', '.join(ROWS)}; for what a method wants, add --method")
    own = named(params.students, student, kind="student").training if student else {}
    taught = chosen.taught(effective_training(params, chosen.training, own))
    viewed = find_task(task, params.tasks).task_kind.viewed
    seen = [signal.seen(viewed=viewed, taught=taught) for signal in chosen.signals()]
    found = next((signal for signal in seen if signal.name == kind), None)
    if found is None:
        raise UserError(f"--method: '{method}' wants no {kind} of its teacher; name a method that does")
    return found


def text_pool(params: Params, *, task: str, augmentation: str) -> LentTexts | None:
    """The texts that an augmentation takes from other data sets; None for one that rewrites rows.

    Raises:
        UserError: for an unknown task, and a folder of published data that does not exist.
    """
    return params.augmentations[augmentation].lent_texts(
        key=f"augmentations.{augmentation}.texts",
        task=find_task(task, params.tasks),
        own=params.tasks,
        folders=data_folders(params),
    )
