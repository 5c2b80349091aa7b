"""What every method declares: settings, task kinds, teachers, signals and the cells that come first. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from distilgrid.core.loading import load
from distilgrid.core.schema import Settings
from distilgrid.signals.base import Signal
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.settings import Training, TrainingOverrides

if TYPE_CHECKING:
    from distilgrid.models.settings import Student
    from distilgrid.training.schedule import Phase
    from distilgrid.training.streams import Extra
    from distilgrid.training.teacher import TeacherOutputs
    from distilgrid.training.training_set import TrainingSet

MANY = 1000
"""More teachers than any cell has."""
TEXTS = frozenset({"label", "number"})
"""Task kinds whose rows are texts."""


@dataclass(frozen=True)
class Before:
    """Models that are trained before a cell."""

    # names of students; each learns from the one before it, the first one from the cell's teacher
    assistants: tuple[str, ...] = ()
    assistant_seed: int = 0  # seed of their training
    # the methods that tuning compares, by the names that their cells get
    tried: "Mapping[str, BaseMethod]" = field(default_factory=dict)
    tried_seed: int = 0  # seed of the training of those cells


class BaseMethod(Settings):
    """What all methods have in common."""

    version: ClassVar[int] = 1
    """Bumped when the method's results may change."""
    losses: ClassVar[str]
    """The Objective as "module:class", called with the settings and a task kind; for the phases below."""
    kinds: ClassVar[frozenset[str] | None] = None
    """The task kinds that the losses suit; None: all of them."""
    teachers: ClassVar[tuple[int, int]] = (1, 1)
    """The fewest and the most teachers that a cell may have."""
    without_preset: ClassVar[tuple[str, str]] = ("it has settings to choose", "{objective: ...}")
    """For a method without presets: why, and what a user writes instead."""
    unrecorded: ClassVar[frozenset[str]] = frozenset({"training"})
    """Settings that recipes know otherwise, or need not know."""

    objective: str
    """Names the method's losses."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""

    @classmethod
    def presets(cls) -> "dict[str, BaseMethod]":
        """Methods that a grid can name without defining them."""
        return {}

    @classmethod
    def accepts(cls, kind: str, *, teachers: int = 1) -> bool:
        """Whether the method suits a task kind and a number of teachers."""
        fewest, most = cls.teachers
        return (cls.kinds is None or kind in cls.kinds) and fewest <= teachers <= most

    @property
    def stages(self) -> tuple[Mapping[str, Any], ...]:
        """The training settings of the stages of a run that has several, each over the method's."""
        return ()

    @property
    def mixing(self) -> Mixup | None:
        """How the method mixes rows; None for a method that mixes none."""
        return None

    @property
    def runs_teacher(self) -> bool:
        """Whether a teacher runs within the student's job."""
        return False

    def signals(self) -> tuple[Signal, ...]:
        """What the losses need of a teacher."""
        return ()

    def before(self, cell: Mapping[str, Any], *, tempered: bool) -> Before:
        """The models that are trained before a cell.

        Args:
            cell: its task, teacher, method, student, augmentation, fraction and seed.
            tempered: whether a softmax temperature changes anything on the task.
        """
        return Before()

    def check(self, training: Training) -> None:
        """Refuse training settings that do not suit the method. Raises UserError naming the setting."""

    def taught(self, training: Training) -> Training:
        """The training settings of the epochs that learn from a teacher: they decide what it is asked."""
        return training

    def suits(self, students: "Sequence[Student]") -> bool:
        """Whether the method can join a grid of these students as a baseline."""
        return True

    def recipe(self) -> dict[str, Any]:
        """What decides the method's results, as plain values."""
        return {**self.model_dump(exclude=set(self.unrecorded)), "version": self.version}

    def settle(self, folders: Sequence[Path], *, kind: TaskKind) -> "tuple[BaseMethod, dict[str, Any]]":
        """The method as tuning chose it, and what `metrics.json` says about the choice.

        Args:
            folders: of the cells that tried values.
            kind: of the task.

        Raises:
            UserError: when folders are missing, or hold what tuning does not try.
        """
        return self, {}

    def extras(
        self, rows: "TrainingSet", training: Training, outputs: "Mapping[str, TeacherOutputs]"
    ) -> "Sequence[Extra]":
        """Streams of samples that a step learns from in addition to the training rows.

        Args:
            rows: the training rows.
            training: the student's settings.
            outputs: of the teachers, by the option of their signal.
        """
        return ()

    def sections(self) -> tuple[str, ...]:
        """Sections that the method adds to reports, as targets."""
        return ()

    def phases(self, training: Training, *, kind: TaskKind) -> "list[Phase]":
        """The phases of the training: one, of the Objective that `losses` names, unless a method says otherwise.

        Raises UserError when the method does not suit the training settings.
        """
        from distilgrid.training.schedule import plain

        return plain(load(self.losses)(self, kind=kind), training)


class TaughtMethod(BaseMethod):
    """What all methods with a teacher have in common."""

    unrecorded: ClassVar[frozenset[str]] = frozenset({"training", "teacher"})

    teacher: Literal["recorded", "live"] = "recorded"
    """`recorded`: the teacher runs once, for all students of the grid; `live`: it runs within each student's job."""

    @property
    def runs_teacher(self) -> bool:
        """As set, if the losses need a teacher at all."""
        return self.teacher == "live" and bool(self.signals())


def over_default(cls: type[Settings], given: Any, info: Any) -> Any:
    """A stage's settings over the default ones. None at all, `{}`, takes all of them from the `training` section."""
    default = cls.model_fields[info.field_name or ""].default
    return {**default, **given} if isinstance(given, Mapping) and given else given
