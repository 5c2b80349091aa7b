"""A teacher's logits on mixed samples, as a declaration. Light: no torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Asked, Grid, Lesson, Signal
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from distilgrid.signals.asking import Asking
    from distilgrid.training.teacher import TeacherOutputs

BATCHES = {"epochs", "batch_size", "batching"}
"""The training settings that decide which samples are mixed."""


@dataclass(frozen=True)
class MixedSignal:
    """Logits on all mixed samples of a run."""

    mixup: Mixup  # the mixing
    training: Training | None = None  # the students' settings, which decide the batches; None until they are known
    name: ClassVar[str] = "mixed-logits"
    option: ClassVar[str] = "mixed-outputs"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """With the training settings."""
        return MixedSignal(self.mixup, taught)

    def plan(self, lesson: Lesson, grid: Grid) -> list[Artefact]:
        """One, of the lesson's own rows, prepared and augmented."""
        cell, augmented = lesson.cell, lesson.augmented
        place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/mixed"
        options = {axis: cell[axis] for axis in ("method", "student")}
        share = cell["fraction"]
        return [
            grid.record(self, lesson, each, place=place, fraction=share, augmented=augmented, options=options)
            for each in lesson.instructors
        ]

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """Which samples there are, and how the teacher reads them."""
        shown = {"mixup": self.mixup.model_dump(), "batches": self.settled.model_dump(include=BATCHES)}
        rows = {"max_length": asked.max_length, "fraction": asked.fraction, "inputs": dict(asked.inputs)}
        return {"kind": self.name, **shown, **rows}

    @property
    def settled(self) -> Training:
        """The students' settings."""
        assert self.training is not None, "a mixed signal is asked for with training settings"
        return self.training

    def record(self, asking: "Asking") -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Logits (fp32) of all samples, batch by batch, and the weights of the mixtures."""
        from distilgrid.signals.mixed.outputs import record_mixed

        return record_mixed(self.mixup, self.settled, asking)

    def open(self, folders: Sequence[Path], asking: "Asking") -> "TeacherOutputs":
        """Addressed by sample."""
        from distilgrid.signals.mixed.mixing import make_schedule
        from distilgrid.signals.mixed.outputs import open_mixed

        ids, keys = asking.training_set.example_ids, asking.data_keys
        schedule = make_schedule(asking.training_set.text_lengths, self.mixup, self.settled)
        return open_mixed(folders[0], schedule=schedule, example_ids=ids, data_keys=keys)

    def live(self, asking: "Asking") -> "TeacherOutputs":
        """Each batch when it is asked for."""
        from distilgrid.signals.mixed.mixing import make_schedule
        from distilgrid.signals.mixed.outputs import LiveMixedTeacher

        schedule = make_schedule(asking.training_set.text_lengths, self.mixup, self.settled)
        encodings = asking.encodings()
        return LiveMixedTeacher(asking.model(), encodings, schedule, token_types=self.mixup.token_types)
