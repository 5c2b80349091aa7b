"""What a cell learns from its teachers: recorded or live outputs of each, and streams next to the training rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.signals.asking import Asking
from distilgrid.signals.base import Signal
from distilgrid.training.settings import Training
from distilgrid.training.streams import Extra
from distilgrid.training.teacher import SeveralTeachers, TeacherOutputs
from distilgrid.training.training_set import TrainingSet

ROWS = "teacher-outputs"
"""The option of signals on the training rows."""


@dataclass(frozen=True)
class Sources:
    """The artefacts that a cell is made from."""

    data: Path  # prepared data
    augmented: Path | None = None  # rows made of its training rows
    # the fine-tuned teachers, for `init: finetuned` (the first one) or for teachers that run live
    teachers: Sequence[Path] = ()
    # recorded outputs on the training rows, and on the augmented ones, of each teacher; without them a method that
    # needs a teacher runs it live
    teacher_outputs: Sequence[Path] = ()
    mixed_outputs: Sequence[Path] = ()  # recorded outputs on mixed samples; likewise
    tried: Sequence[Path] = ()  # the cells among which tuning chooses
    search: Path | None = None  # the search that found the student's shape
    supernet: Path | None = None  # the one whose slice the student begins as

    @property
    def teacher(self) -> Path | None:
        """The first teacher."""
        return self.teachers[0] if self.teachers else None

    @property
    def recordings(self) -> Mapping[str, Sequence[Path]]:
        """By the command's option."""
        return {ROWS: self.teacher_outputs, "mixed-outputs": self.mixed_outputs}


@dataclass(frozen=True)
class Teaching:
    """A method's teachers, opened when a job needs them.

    Raises:
        UserError: when opened: recordings that are missing, damaged or of other rows; or no teacher at all.
    """

    method: BaseMethod
    training: Training
    training_set: TrainingSet
    sources: Sources

    def outputs(self) -> TeacherOutputs | None:
        """The teachers' outputs on the training rows, if the method needs them."""
        return self.opened.get(ROWS)

    def extras(self) -> Sequence[Extra]:
        """The streams that the method learns from in addition to the training rows."""
        return self.method.extras(self.training_set, self.training, self.opened)

    @cached_property
    def opened(self) -> dict[str, TeacherOutputs]:
        """The outputs that the method needs, by the option of their signal."""
        taught, viewed = self.method.taught(self.training), self.training_set.dataset.task_kind.viewed
        wanted = [signal.seen(viewed=viewed, taught=taught) for signal in self.method.signals()]
        return {signal.option: self._outputs(signal) for signal in wanted}

    def _outputs(self, signal: Signal) -> TeacherOutputs:
        """Recorded where recordings are given, else live."""
        folders = self.sources.recordings.get(signal.option, ())
        if folders:
            asking = Asking(self.training_set, self.training.max_length)
            return _joined(signal.open(own, asking) for own in _by_teacher(folders))
        return _joined(signal.live(asking) for asking in self._live)

    @cached_property
    def _live(self) -> list[Asking]:
        """The teachers themselves, which read the rows as the student does."""
        if not self.sources.teachers:
            name, options = self.method.objective, "--teacher-outputs (and --mixed-outputs for mixkd)"
            raise UserError(f"method '{name}' needs a teacher; give {options}, or --teacher-dir to run it live")
        length = self.training.max_length
        return [Asking(self.training_set, length, folder) for folder in self.sources.teachers]


def _joined(teachers: Iterable[TeacherOutputs]) -> TeacherOutputs:
    several = list(teachers)
    return several[0] if len(several) == 1 else SeveralTeachers(several)


def _by_teacher(folders: Sequence[Path]) -> list[list[Path]]:
    """Recordings in groups: those of the teacher that comes first, then those of the others."""
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        manifest = folder / "manifest.json"
        teacher = read_json(manifest).get("teacher_key", "") if manifest.exists() else ""
        groups.setdefault(teacher, []).append(folder)
    return list(groups.values())
