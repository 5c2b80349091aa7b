"""Signal of a teacher's logits on views of images. Light: no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Lesson, Signal
from distilgrid.tasks.settings import Views

if TYPE_CHECKING:
    from distilgrid.plan.recordings import Recordings


@dataclass(frozen=True)
class ViewSignal(Signal):
    """Logits on the views of all training images in each epoch."""

    views: Views
    epochs: int
    name: ClassVar[str] = "view-logits"
    asked: ClassVar[str] = "distilgrid.signals.views.outputs:ViewTeacher"

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """One recording of each instructor, with the epochs of the method that needs most of the same views."""
        same = {name: t.epochs for name, t in grid.asking(lesson, self.name).items() if t.views == self.views}
        found = {lesson.cell["method"]: self.epochs, **same}
        longest = max(found, key=lambda name: found[name])
        signal, options = ViewSignal(self.views, found[longest]), {"method": longest, "student": lesson.cell["student"]}
        return [
            grid.record(signal, lesson, each, place=f"frac-{share:g}/views", fraction=share, options=options)
            for each, share in ((each, grid.share(lesson, each, self.name)) for each in lesson.instructors)
        ]

    def recipe(self, inputs: Mapping[str, Any], *, fraction: float, max_length: int) -> dict[str, Any]:
        """Views, epochs and rows."""
        shown = {"views": self.views.model_dump(), "epochs": self.epochs}
        return {"kind": self.name, **shown, "fraction": fraction, "inputs": dict(inputs)}
