"""Signal of a teacher's logits or hidden states on training rows. Light: no torch here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Asked, LazySignal, Lesson, Signal
from distilgrid.signals.views.plan import ViewSignal
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.plan.recordings import Recordings

RowName = Literal["logits", "cls-states", "hidden-states"]


@dataclass(frozen=True)
class RowSignal(LazySignal):
    """Outputs on the prepared rows that any student of the grid sees, and on augmented ones.

    `cls-states` are logits with the states of the first token, `hidden-states` logits with those of all tokens.
    """

    name: RowName = "logits"
    outputs: ClassVar[str] = "distilgrid.signals.rows.outputs"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """Logits become logits on views where images look different in each epoch."""
        if viewed and self.name == "logits" and taught.views.drawn:
            return ViewSignal(taught.views, taught.epochs)
        return self

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """One recording of each instructor on prepared rows, and one on augmented rows."""
        parts = [None, lesson.augmented] if lesson.augmented else [None]
        return [self._part(lesson, grid, instructor, part) for instructor in lesson.instructors for part in parts]

    def _part(self, lesson: Lesson, grid: "Recordings", instructor: Artefact, augmented: Artefact | None) -> Artefact:
        if augmented is not None:
            place = f"{lesson.cell['augmentation']}/frac-{lesson.cell['fraction']:g}/{self.name}"
            return grid.record(self, lesson, instructor, place=place, fraction=1.0, augmented=augmented)
        share = grid.share(lesson, instructor)
        place = f"frac-{share:g}/{self.name}" if share < 1 else self.name
        return grid.record(self, lesson, instructor, place=place, fraction=share)

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """Kind of outputs, rows, and length of inputs."""
        shown = {"max_length": asked.max_length, "fraction": asked.fraction, "inputs": dict(asked.inputs)}
        return {"kind": self.name, **shown}
