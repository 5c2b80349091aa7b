"""What a teacher leaves behind for its students: the Signal protocol, and what a plan tells a signal. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distilgrid.core.planned import Artefact
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from distilgrid.signals.asking import Asking
    from distilgrid.training.teacher import TeacherOutputs


class Learning(Protocol):
    """What signals see of a method."""

    def taught(self, training: Training) -> Training:
        """The training settings of the epochs that learn from a teacher."""


@dataclass(frozen=True)
class Lesson:
    """What a student is taught, and by whom."""

    cell: Mapping[str, Any]  # the student's task, teacher, method, student, augmentation, fraction and seed
    method: Learning  # how
    training: Training  # the student's settings
    data: Artefact  # prepared rows
    augmented: Artefact | None  # rows made of them
    instructors: tuple[Artefact, ...]  # the models that it learns from: the teachers, or the last assistant of a chain


@dataclass(frozen=True)
class Asked:
    """What decides a recording besides the signal; planner and stage put it alike."""

    inputs: Mapping[str, Any]  # keys of data, teacher and augmented rows, by the command's option
    fraction: float  # of the training rows
    max_length: int  # of the teacher's inputs, in tokens


class Grid(Protocol):
    """What signals see of a plan."""

    def share(self, lesson: Lesson, instructor: Artefact) -> float:
        """The share of the training rows that serves all students of the grid."""

    def asking(self, lesson: Lesson, name: str) -> Mapping[str, Training]:
        """The grid's methods that want a signal of that name for the lesson's student.

        Returns:
            The training settings of their taught epochs, by method.
        """

    def record(
        self,
        signal: "Signal",
        lesson: Lesson,
        instructor: Artefact,
        *,
        place: str,
        fraction: float,
        augmented: Artefact | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Artefact:
        """A recording, planned once for all students that share it.

        Args:
            signal: what is recorded.
            lesson: that needs it.
            instructor: who is asked.
            place: the end of its path.
            fraction: of the training rows.
            augmented: rows that are recorded instead of the data's own, or with them.
            options: of the command, besides task, teacher, kind and fraction.
        """


class Signal(Protocol):
    """Outputs of a teacher that a method's losses need. A frozen dataclass, so that equal signals are one."""

    @property
    def name(self) -> str:
        """The `--kind` of `record`."""

    @property
    def option(self) -> str:
        """The option of `distill` that takes its recordings."""

    def seen(self, *, viewed: bool, taught: Training) -> "Signal":
        """The signal as a task and training settings have it: rows of images become views of them.

        Args:
            viewed: whether models may see views of the rows.
            taught: settings of the epochs that learn from the teacher.
        """

    def plan(self, lesson: Lesson, grid: Grid) -> list[Artefact]:
        """The recordings that a lesson needs, those of the first instructor first."""

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """What decides a recording's content, but for the stage and its version."""

    def record(self, asking: "Asking") -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """A teacher's outputs, and what the manifest says about them. Raises UserError when the rows do not suit."""

    def open(self, folders: Sequence[Path], asking: "Asking") -> "TeacherOutputs":
        """The recorded outputs of one teacher, as a student's rows need them.

        Raises UserError when a recording is damaged, or was made from other rows.
        """

    def live(self, asking: "Asking") -> "TeacherOutputs":
        """The same outputs of a teacher that runs within the student's job."""
