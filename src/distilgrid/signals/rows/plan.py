"""A teacher's logits or hidden states on training rows, as a declaration. Light: no torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Asked, Grid, Lesson, Signal
from distilgrid.signals.views.plan import ViewSignal
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from distilgrid.signals.asking import Asking
    from distilgrid.training.teacher import TeacherOutputs

RowName = Literal["logits", "cls-states", "hidden-states"]


@dataclass(frozen=True)
class RowSignal:
    """Outputs on the prepared rows that any student of the grid sees, and on augmented ones."""

    name: RowName = "logits"  # states come with logits: those of the first token, or of all tokens
    option: ClassVar[str] = "teacher-outputs"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """Itself; of images that look different in each epoch, logits on views."""
        if viewed and self.name == "logits" and taught.views.drawn:
            return ViewSignal(taught.views, taught.epochs)
        return self

    def plan(self, lesson: Lesson, grid: Grid) -> list[Artefact]:
        """One, and one more for augmented rows."""
        parts = [None, lesson.augmented] if lesson.augmented else [None]
        return [self._part(lesson, grid, instructor, part) for instructor in lesson.instructors for part in parts]

    def _part(self, lesson: Lesson, grid: Grid, instructor: Artefact, augmented: Artefact | None) -> Artefact:
        place: str = self.name
        if augmented is not None:
            place = f"{lesson.cell['augmentation']}/frac-{lesson.cell['fraction']:g}/{self.name}"
            return grid.record(self, lesson, instructor, place=place, fraction=1.0, augmented=augmented)
        share = grid.share(lesson, instructor)
        if share < 1:
            place = f"frac-{share:g}/{self.name}"
        return grid.record(self, lesson, instructor, place=place, fraction=share)

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """What is kept, of which rows, and how inputs are cut."""
        shown = {"max_length": asked.max_length, "fraction": asked.fraction, "inputs": dict(asked.inputs)}
        return {"kind": self.name, **shown}

    def record(self, asking: "Asking") -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Logits (fp32), and states (fp16) as the name says."""
        from distilgrid.signals.rows.outputs import record_rows

        return record_rows(self.name, asking)

    def open(self, folders: Sequence[Path], asking: "Asking") -> "TeacherOutputs":
        """Addressed by row."""
        from distilgrid.signals.rows.outputs import open_recorded

        ids, keys = asking.training_set.example_ids, asking.data_keys
        return open_recorded(folders, wanted=self.name, example_ids=ids, data_keys=keys)

    def live(self, asking: "Asking") -> "TeacherOutputs":
        """All rows at once, when the first are asked for."""
        from distilgrid.signals.rows.outputs import LiveTeacher

        return LiveTeacher(asking.model(), asking.samples(), wanted=self.name)
