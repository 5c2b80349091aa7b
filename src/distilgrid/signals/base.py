"""Signals: the teacher outputs that losses need, and those on training rows. Light: no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from distilgrid.core.loading import load
from distilgrid.core.planned import Artefact
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.methods.base import BaseMethod
    from distilgrid.plan.recordings import Recordings
    from distilgrid.signals.asking import AskedTeacher, Asking

RowName = Literal["logits", "cls-states", "hidden-states"]


@dataclass(frozen=True)
class Lesson:
    """What a student learns, and from whom."""

    cell: Mapping[str, Any]  # the student's task, teacher, method, student, augmentation, fraction and seed
    method: "BaseMethod"  # the student's method
    training: Training  # the student's settings
    data: Artefact  # prepared rows
    augmented: Artefact | None  # rows made of the prepared rows
    instructors: tuple[Artefact, ...]  # models that teach: the teachers, or the last assistant of a chain


class Signal:
    """Outputs of a teacher that a method's losses need. Signals are frozen dataclasses, so equal ones are one."""

    asked: ClassVar[str]  # "module:class" of the AskedTeacher, called with the signal and the question
    option: ClassVar[str] = "teacher-outputs"  # option of `distill` that takes the recordings

    @property
    def name(self) -> str:
        """Value of `record --kind`."""
        raise NotImplementedError

    def seen(self, *, viewed: bool, taught: Training) -> "Signal":
        """The signal of a task: where models may see views of rows (`viewed`), rows become views.

        `taught` holds the settings of the epochs that learn from the teacher.
        """
        return self

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """Recordings that a lesson needs, those of the first instructor first."""
        raise NotImplementedError

    def recipe(self, inputs: Mapping[str, Any], *, fraction: float, max_length: int) -> dict[str, Any]:
        """Plain values that decide a recording's content, without stage and version.

        Args:
            inputs: keys of data, teacher and augmented rows, by the command's option.
            fraction: share of the training rows.
            max_length: longest input of the teacher, in tokens.
        """
        raise NotImplementedError

    def teacher(self, asking: "Asking") -> "AskedTeacher":
        """The teacher that is asked for the signal."""
        teacher: AskedTeacher = load(self.asked)(self, asking)
        return teacher


@dataclass(frozen=True)
class RowSignal(Signal):
    """Outputs on the prepared rows that any student of the grid sees, and on augmented ones.

    `cls-states` are logits with the states of the first token, `hidden-states` logits with those of all tokens.
    """

    name: RowName = "logits"
    asked: ClassVar[str] = "distilgrid.signals.rows:RowTeacher"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """Logits become logits on views where images look different in each epoch."""
        if viewed and self.name == "logits" and taught.views.drawn:
            signal: Signal = load("distilgrid.signals.views.plan:ViewSignal")(taught.views, taught.epochs)
            return signal
        return self

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """One recording of each instructor on prepared rows, and one on augmented rows."""
        parts = [None, lesson.augmented] if lesson.augmented else [None]
        return [self._part(lesson, grid, instructor, part) for instructor in lesson.instructors for part in parts]

    def _part(self, lesson: Lesson, grid: "Recordings", instructor: Artefact, augmented: Artefact | None) -> Artefact:
        if augmented is not None:
            place = f"{lesson.cell['augmentation']}/frac-{lesson.cell['fraction']:g}/{self.name}"
            return grid.record(self, lesson, instructor, place=place, fraction=1.0, augmented=augmented)
        share = grid.share(lesson, instructor, self.name)
        place = f"frac-{share:g}/{self.name}" if share < 1 else self.name
        return grid.record(self, lesson, instructor, place=place, fraction=share)

    def recipe(self, inputs: Mapping[str, Any], *, fraction: float, max_length: int) -> dict[str, Any]:
        """Kind of outputs, rows, and length of inputs."""
        return {"kind": self.name, "max_length": max_length, "fraction": fraction, "inputs": dict(inputs)}


ROWS: dict[str, Signal] = {name: RowSignal(name) for name in get_args(RowName)}
"""Signals that have no settings, by name."""
