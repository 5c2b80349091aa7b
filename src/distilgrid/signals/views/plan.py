"""Signal of a teacher's logits on views of images. Light: no torch here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Asked, LazySignal, Lesson, Signal
from distilgrid.tasks.kinds.image.settings import Views
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.plan.recordings import Recordings


@dataclass(frozen=True)
class ViewSignal(LazySignal):
    """Logits on the views of all training images in each epoch."""

    views: Views
    epochs: int
    name: ClassVar[str] = "view-logits"
    outputs: ClassVar[str] = "distilgrid.signals.views.outputs"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """The signal itself."""
        return self

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """One recording of each instructor, with the epochs of the method that needs most of the same views."""
        same = {name: t.epochs for name, t in grid.asking(lesson, self.name).items() if t.views == self.views}
        found = {lesson.cell["method"]: self.epochs, **same}
        longest = max(found, key=lambda name: found[name])
        signal = ViewSignal(self.views, found[longest])
        return [signal._of(lesson, grid, instructor, method=longest) for instructor in lesson.instructors]

    def _of(self, lesson: Lesson, grid: "Recordings", instructor: Artefact, *, method: str) -> Artefact:
        share = grid.share(lesson, instructor)
        options = {"method": method, "student": lesson.cell["student"]}
        return grid.record(self, lesson, instructor, place=f"frac-{share:g}/views", fraction=share, options=options)

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """Views, epochs and rows."""
        shown = {"views": self.views.model_dump(), "epochs": self.epochs}
        return {"kind": self.name, **shown, "fraction": asked.fraction, "inputs": dict(asked.inputs)}
