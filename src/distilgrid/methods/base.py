"""Declarations of methods: settings, task kinds, teachers, signals and the cells that come first. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from distilgrid.core.loading import load
from distilgrid.core.schema import Settings
from distilgrid.signals.base import RowName, RowSignal, Signal
from distilgrid.tasks.kind import TaskKind, find_kind
from distilgrid.training.settings import Training, TrainingOverrides

if TYPE_CHECKING:
    from distilgrid.models.settings import Student
    from distilgrid.models.shapes import Sizes
    from distilgrid.signals.mixed.plan import Mixup
    from distilgrid.training.objective import Phase
    from distilgrid.training.streams import Extra
    from distilgrid.training.teacher import TeacherOutputs
    from distilgrid.training.training_set import TrainingSet

MANY = 1000
"""More teachers than any cell has."""
TEXTS = frozenset({"text"})
"""The modality of methods that read states of tokens, or mix their embeddings."""


@dataclass(frozen=True)
class Before:
    """Models that are trained before a cell."""

    assistants: tuple[str, ...] = ()  # students by name; each learns from the one before it, the first from the teacher
    assistant_seed: int = 0  # training seed of the assistants
    tried: "Mapping[str, BaseMethod]" = field(default_factory=dict)  # methods that tuning compares, by cell name
    tried_seed: int = 0  # training seed of the tried cells


class BaseMethod(Settings):
    """Settings that all methods share, and what a method declares about itself."""

    version: ClassVar[int] = 1  # raised when the method's results may change
    losses: ClassVar[str]  # "module:class" of the Objective, called with the settings and a task kind
    predictor: ClassVar[str] = "distilgrid.training.predictor:predict"  # "module:function", a Predictor
    phased: ClassVar[str] = ""  # "module:function" of the phases, for methods that have more than one objective
    stages: ClassVar[tuple[str, ...]] = ()  # settings that hold the training overrides of a phase each
    preset: ClassVar[str] = ""  # the name of the method with default settings, which grids take without defining it
    modalities: ClassVar[frozenset[str] | None] = None  # rows that the losses suit: `text`, `image`; None for all
    needs: ClassVar[frozenset[str]] = frozenset()  # attributes of a task kind that must not be false: `tempered`
    teachers: ClassVar[tuple[int, int]] = (1, 1)  # fewest and most teachers of a cell
    without_preset: ClassVar[tuple[str, str]] = ("it has settings to choose", "{objective: ...}")
    """For a method without presets: why, and what a user writes instead."""
    unrecorded: ClassVar[frozenset[str]] = frozenset({"training"})  # settings that recipes know otherwise, or ignore
    sections: ClassVar[tuple[str, ...]] = ()  # report sections of the method, as "module:name"

    objective: str
    """Names the method's losses."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""

    @model_validator(mode="before")
    @classmethod
    def _over_default(cls, values: Any) -> Any:
        """Overrides of a phase lie over the default ones; `{}` takes all settings from the `training` section."""
        if not isinstance(values, Mapping):
            return values
        given = {name: own for name in cls.stages if isinstance(own := values.get(name), Mapping) and own}
        return {**values, **{name: {**cls.model_fields[name].default, **own} for name, own in given.items()}}

    @classmethod
    def presets(cls) -> "dict[str, BaseMethod]":
        """Methods that a grid can name without defining them."""
        return {cls.preset: cls.model_validate({})} if cls.preset else {}

    @classmethod
    def accepts(cls, kind: str, *, teachers: int = 1) -> bool:
        """Whether the method suits a task kind and a number of teachers."""
        fewest, most = cls.teachers
        return cls.suits_kind(kind) and fewest <= teachers <= most

    @classmethod
    def suits_kind(cls, name: str) -> bool:
        """Whether the losses suit the rows of a task kind."""
        kind = find_kind(name)
        reads = cls.modalities is None or kind.modality in cls.modalities
        return reads and all(getattr(kind, need, True) for need in cls.needs)  # a kind says only what it lacks

    @property
    def mixing(self) -> "Mixup | None":
        """How the method mixes rows; None for a method that mixes none."""
        return None

    @property
    def runs_teacher(self) -> bool:
        """Whether a teacher runs within the student's job."""
        return False

    def signals(self) -> tuple[Signal, ...]:
        """Teacher outputs that the losses need."""
        return ()

    def before(self, cell: Mapping[str, Any], *, tempered: bool) -> Before:
        """Models that are trained before a cell; `tempered` says whether a softmax temperature changes anything."""
        return Before()

    def check(self, training: Training) -> None:
        """Refuse training settings that do not suit the method. Raises UserError naming the setting."""

    def check_sizes(self, student: "Sizes", teacher: "Sizes") -> None:
        """Refuse a student whose layers or widths cannot learn from the teacher's. Raises UserError naming both."""

    def trained(self, training: Training) -> Training:
        """Training settings of the method's cells, from those of the parameters."""
        return training

    def taught(self, training: Training) -> Training:
        """Training settings of the epochs that learn from a teacher, which decide what the teacher is asked."""
        return training

    def staged(self, training: Training) -> list[Training]:
        """Training settings of each of `stages` that is not left out."""
        overrides = (getattr(self, stage) for stage in self.stages)
        return [training.under(own) for own in overrides if own is not None]

    def suits(self, students: "Sequence[Student]") -> bool:
        """Whether the method can join a grid of these students as a baseline."""
        return True

    def recipe(self) -> dict[str, Any]:
        """Plain values that decide the method's results."""
        return {**self.model_dump(exclude=set(self.unrecorded)), "version": self.version}

    def settle(self, folders: Sequence[Path], *, kind: TaskKind) -> "tuple[BaseMethod, dict[str, Any]]":
        """The method as tuning chose it, and what `metrics.json` says about the choice.

        `folders` hold the cells that tried values. Raises UserError when they are missing or not those of the tuning.
        """
        return self, {}

    def extras(
        self, rows: "TrainingSet", training: Training, outputs: "Mapping[str, TeacherOutputs]"
    ) -> "Sequence[Extra]":
        """Streams of samples next to the training rows; `outputs` are the teachers', by the option of their signal."""
        return ()

    def phases(self, training: Training, *, kind: TaskKind) -> "list[Phase]":
        """Training phases: those that `phased` makes, else one with the Objective that `losses` names.

        Raises UserError when the method does not suit the training settings.
        """
        from distilgrid.training.objective import plain

        if self.phased:
            phases: list[Phase] = load(self.phased)(self, training, kind=kind)
            return phases
        return plain(load(self.losses)(self, kind=kind), training)


class TaughtMethod(BaseMethod):
    """Settings that all methods with a teacher share."""

    unrecorded: ClassVar[frozenset[str]] = frozenset({"training", "teacher"})
    row_outputs: ClassVar[RowName] = "logits"  # teacher outputs on training rows that the losses need

    teacher: Literal["recorded", "live"] = "recorded"
    """`recorded`: the teacher runs once, for all students of the grid; `live`: it runs within each student's job."""

    def signals(self) -> tuple[Signal, ...]:
        """Outputs on the training rows."""
        return (RowSignal(self.row_outputs),)

    @property
    def runs_teacher(self) -> bool:
        """Whether `teacher` is `live` and the losses need one."""
        return self.teacher == "live" and bool(self.signals())
