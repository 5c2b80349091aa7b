"""Teacher outputs of a cell, recorded or live, and streams next to its training rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.core.loading import late
from distilgrid.methods.base import BaseMethod
from distilgrid.signals.asking import Asking
from distilgrid.signals.base import Signal
from distilgrid.tasks.batching import Tokenizer
from distilgrid.training.settings import Training
from distilgrid.training.streams import Extra
from distilgrid.training.teacher import SeveralTeachers, TeacherOutputs
from distilgrid.training.training_set import TrainingSet

by_teacher = late("distilgrid.signals.provenance:by_teacher")


@dataclass(frozen=True)
class Sources:
    """Artefacts that a cell is made from; recordings are found by the option of their signal."""

    data: Path
    augmented: Path | None = None  # rows made of its training rows
    # fine-tuned teachers, for `init: finetuned` (the first one) or to run live
    teachers: Sequence[Path] = ()
    # recordings of each teacher on training rows and augmented rows; a method runs teachers live without them
    teacher_outputs: Sequence[Path] = ()
    mixed_outputs: Sequence[Path] = ()  # recordings on mixed samples; likewise
    tried: Sequence[Path] = ()  # cells among which tuning chooses
    search: Path | None = None  # search that found the student's shape
    supernet: Path | None = None  # supernet whose slice the student starts from

    @property
    def teacher(self) -> Path | None:
        """The first teacher, if there is one."""
        return self.teachers[0] if self.teachers else None


@dataclass(frozen=True)
class Teaching:
    """Teachers of a method, opened when a job needs them.

    Opening raises UserError for recordings that are missing, damaged, or of other rows or teachers, or without any
    teacher.
    """

    method: BaseMethod
    training: Training
    training_set: TrainingSet
    sources: Sources
    tokenizer: Tokenizer = None  # the student's, whose tokens hidden states must be of
    lengths: Sequence[int] = ()  # longest input of each teacher, in tokens, that recordings must have; () takes any

    def outputs(self) -> TeacherOutputs | None:
        """Outputs of the teachers on the training rows, if the method needs them."""
        return self._opened.get(Signal.option)

    def extras(self) -> Sequence[Extra]:
        """Streams that the method learns from in addition to the training rows."""
        return self.method.extras(self.training_set, self.training, self._opened)

    @cached_property
    def _opened(self) -> dict[str, TeacherOutputs]:
        """Outputs that the method needs, by the option of their signal."""
        taught, viewed = self.method.taught(self.training), self.training_set.dataset.task_kind.viewed
        wanted = [signal.seen(viewed=viewed, taught=taught) for signal in self.method.signals()]
        folders = {signal.option: getattr(self.sources, signal.option.replace("-", "_")) for signal in wanted}
        recorded = by_teacher(folders, teachers=self.sources.teachers, lengths=self.lengths)
        return {signal.option: self._outputs(signal, recorded[signal.option]) for signal in wanted}

    def _outputs(self, signal: Signal, recorded: Sequence[Sequence[Path]]) -> TeacherOutputs:
        """Recorded outputs if there are recordings, else live ones."""
        teachers: list[TeacherOutputs] = [signal.teacher(self._asking(None)).open(own) for own in recorded]
        teachers = teachers or [signal.teacher(each) for each in self._live]
        if not teachers:
            name, option = self.method.objective, signal.option
            raise UserError(f"method '{name}' needs a teacher; give --{option}, or --teacher-dir to run it live")
        return teachers[0] if len(teachers) == 1 else SeveralTeachers(teachers)

    @cached_property
    def _live(self) -> list[Asking]:
        """Questions to live teachers, which read the rows as the student does."""
        return [self._asking(folder) for folder in self.sources.teachers]

    def _asking(self, teacher: Path | None) -> Asking:
        first = next(iter(self.method.staged(self.training)), self.training)  # its length holds for all phases
        longest = self.training.max_length
        return Asking(self.training_set, longest, teacher, reader=self.tokenizer, reader_length=first.max_length)
