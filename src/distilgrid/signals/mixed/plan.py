"""Signal of a teacher's logits on mixed samples. Light: no torch here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Asked, LazySignal, Lesson, Signal
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.plan.recordings import Recordings

BATCHES = {"epochs", "batch_size", "batching"}
"""The training settings that decide which samples are mixed."""


@dataclass(frozen=True)
class MixedSignal(LazySignal):
    """Logits on all mixed samples of a run."""

    mixup: Mixup
    training: Training | None = None  # settings of the students, which decide the batches; None until they are known
    name: ClassVar[str] = "mixed-logits"
    option: ClassVar[str] = "mixed-outputs"
    outputs: ClassVar[str] = "distilgrid.signals.mixed.outputs"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """The signal with training settings."""
        return MixedSignal(self.mixup, taught)

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """One recording of each instructor on the lesson's own rows, prepared and augmented."""
        cell, augmented = lesson.cell, lesson.augmented
        place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/mixed"
        options = {axis: cell[axis] for axis in ("method", "student")}
        share = cell["fraction"]
        return [
            grid.record(self, lesson, each, place=place, fraction=share, augmented=augmented, options=options)
            for each in lesson.instructors
        ]

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """Samples, and how the teacher reads them."""
        shown = {"mixup": self.mixup.model_dump(), "batches": self.settled.model_dump(include=BATCHES)}
        rows = {"max_length": asked.max_length, "fraction": asked.fraction, "inputs": dict(asked.inputs)}
        return {"kind": self.name, **shown, **rows}

    @property
    def settled(self) -> Training:
        """Training settings of the students."""
        assert self.training is not None, "a mixed signal is asked for with training settings"
        return self.training
