"""The protocol of signals, and what a plan tells a signal. Light: no torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from distilgrid.core.loading import load
from distilgrid.core.planned import Artefact
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from distilgrid.plan.recordings import Recordings
    from distilgrid.signals.asking import Asking
    from distilgrid.training.teacher import TeacherOutputs


class Learning(Protocol):
    """The part of a method that signals see."""

    def taught(self, training: Training) -> Training:
        """The training settings of the epochs that learn from a teacher."""


@dataclass(frozen=True)
class Lesson:
    """What a student learns, and from whom."""

    cell: Mapping[str, Any]  # the student's task, teacher, method, student, augmentation, fraction and seed
    method: Learning  # the student's method
    training: Training  # the student's settings
    data: Artefact  # prepared rows
    augmented: Artefact | None  # rows made of the prepared rows
    instructors: tuple[Artefact, ...]  # models that teach: the teachers, or the last assistant of a chain


@dataclass(frozen=True)
class Asked:
    """What decides a recording in addition to the signal; planner and stage agree on it."""

    inputs: Mapping[str, Any]  # keys of data, teacher and augmented rows, by the command's option
    fraction: float  # share of the training rows
    max_length: int  # longest input of the teacher, in tokens


class Signal(Protocol):
    """Outputs of a teacher that a method's losses need. Signals are frozen dataclasses, so equal ones are one."""

    @property
    def name(self) -> str:
        """Value of `record --kind`."""

    @property
    def option(self) -> str:
        """Option of `distill` that takes the recordings."""

    def seen(self, *, viewed: bool, taught: Training) -> "Signal":
        """The signal of a task: where models may see views of rows (`viewed`), rows become views.

        `taught` holds the settings of the epochs that learn from the teacher.
        """

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """Recordings that a lesson needs, those of the first instructor first."""

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """Plain values that decide a recording's content, without stage and version."""

    def record(self, asking: "Asking") -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Outputs of a teacher, and their manifest. Raises UserError when the rows do not suit."""

    def open(self, folders: Sequence[Path], asking: "Asking") -> "TeacherOutputs":
        """Recorded outputs of one teacher, aligned to a student's rows.

        Raises UserError when a recording is damaged, or was made from other rows.
        """

    def live(self, asking: "Asking") -> "TeacherOutputs":
        """The same outputs from a teacher that runs within the student's job."""


class LazySignal:
    """A signal whose module `outputs` has `record`, `opened` and `live`, loaded on use and called with the signal."""

    outputs: ClassVar[str]
    option: ClassVar[str] = "teacher-outputs"

    def record(self, asking: "Asking") -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Outputs of a teacher, and their manifest."""
        recorded: tuple[dict[str, Tensor], dict[str, Any]] = load(f"{self.outputs}:record")(self, asking)
        return recorded

    def open(self, folders: Sequence[Path], asking: "Asking") -> "TeacherOutputs":
        """Recorded outputs of one teacher."""
        opened: TeacherOutputs = load(f"{self.outputs}:opened")(self, folders, asking)
        return opened

    def live(self, asking: "Asking") -> "TeacherOutputs":
        """Outputs from a teacher that runs within the student's job."""
        running: TeacherOutputs = load(f"{self.outputs}:live")(self, asking)
        return running
