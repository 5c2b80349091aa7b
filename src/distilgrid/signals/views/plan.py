"""A teacher's logits on views of images, as a declaration. Light: no torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distilgrid.core.planned import Artefact
from distilgrid.signals.base import Asked, Grid, Lesson, Signal
from distilgrid.tasks.kinds.image.settings import Views
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from distilgrid.signals.asking import Asking
    from distilgrid.training.teacher import TeacherOutputs


@dataclass(frozen=True)
class ViewSignal:
    """Logits on all training images as they are seen in each epoch."""

    views: Views  # how they are drawn
    epochs: int  # how many are asked about
    name: ClassVar[str] = "view-logits"
    option: ClassVar[str] = "teacher-outputs"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """Itself."""
        return self

    def plan(self, lesson: Lesson, grid: Grid) -> list[Artefact]:
        """One, with the epochs of that method of the grid which needs most of the same views."""
        same = {name: t.epochs for name, t in grid.asking(lesson, self.name).items() if t.views == self.views}
        found = {lesson.cell["method"]: self.epochs, **same}
        longest = max(found, key=lambda name: found[name])
        signal = ViewSignal(self.views, found[longest])
        return [signal._of(lesson, grid, instructor, method=longest) for instructor in lesson.instructors]

    def _of(self, lesson: Lesson, grid: Grid, instructor: Artefact, *, method: str) -> Artefact:
        share = grid.share(lesson, instructor)
        options = {"method": method, "student": lesson.cell["student"]}
        return grid.record(self, lesson, instructor, place=f"frac-{share:g}/views", fraction=share, options=options)

    def recipe(self, asked: Asked) -> dict[str, Any]:
        """How views are drawn, in how many epochs, of which rows."""
        shown = {"views": self.views.model_dump(), "epochs": self.epochs}
        return {"kind": self.name, **shown, "fraction": asked.fraction, "inputs": dict(asked.inputs)}

    def record(self, asking: "Asking") -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Logits (fp32): (E, N, C)."""
        from distilgrid.signals.views.outputs import record_views

        return record_views(self.views, self.epochs, asking)

    def open(self, folders: Sequence[Path], asking: "Asking") -> "TeacherOutputs":
        """Addressed by sample: e * N + row."""
        from distilgrid.signals.views.outputs import open_views

        ids, keys = asking.training_set.example_ids, asking.data_keys
        return open_views(folders[0], views=self.views, epochs=self.epochs, example_ids=ids, data_keys=keys)

    def live(self, asking: "Asking") -> "TeacherOutputs":
        """Batch by batch."""
        from distilgrid.signals.views.outputs import LiveViewTeacher

        seen = asking.training_set.views(self.views)
        assert seen is not None, "only kinds with views have this signal"
        return LiveViewTeacher(asking.model(), seen)
