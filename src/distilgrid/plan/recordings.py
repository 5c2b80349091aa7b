"""The part of a plan that asks teachers: their recorded outputs, each planned once for all students that share it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.planned import Artefact, Inputs
from distilgrid.methods.annealing_kd.schedule import taught_training
from distilgrid.methods.settings import Method, MixKD, Recording
from distilgrid.plan.params import effective_training
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.plan.planner import Planner


@dataclass(frozen=True)
class Lesson:
    """What a student is taught, and by whom.

    Attributes:
        cell: the student's task, teacher, method, student, augmentation, fraction and seed.
        method: how.
        training: the student's settings.
        data: prepared rows.
        augmented: rows made of them.
        instructor: the model that it learns from: the teacher, or the last assistant of a chain.
    """

    cell: Mapping[str, Any]
    method: Method
    training: Training
    data: Artefact
    augmented: Artefact | None
    instructor: Artefact


class Recordings:
    """Plans what instructors leave behind."""

    def __init__(self, planner: "Planner") -> None:
        self.planner, self.params = planner, planner.params
        self._known: dict[tuple[Any, ...], Inputs] = {}

    def of(self, lesson: Lesson) -> Inputs:
        """What a lesson needs, by the command's option: the same for all seeds."""
        axes = ("task", "teacher", "method", "student", "augmentation", "fraction", "search")
        key = (*(lesson.cell.get(axis) for axis in axes), lesson.instructor.folder)
        if key not in self._known:
            self._known[key] = self._needed(lesson)
        return self._known[key]

    def _needed(self, lesson: Lesson) -> Inputs:
        inputs: Inputs = {}
        views = taught_training(lesson.method, lesson.training).views
        for kind in lesson.method.recordings:
            if kind == "mixed-logits":
                inputs["mixed-outputs"] = self._mixed(lesson)
            elif views.drawn and find_task(lesson.cell["task"], self.params.tasks).kind == "image":
                inputs["teacher-outputs"] = self._viewed(lesson)
            else:
                parts = [None, lesson.augmented] if lesson.augmented else [None]
                inputs["teacher-outputs"] = [self._plain(lesson, kind, part) for part in parts]
        return inputs

    def _plain(self, lesson: Lesson, kind: Recording, augmented: Artefact | None) -> Artefact:
        """Outputs on the prepared rows that any student of the grid sees, or on augmented ones."""
        cell, inputs = lesson.cell, self._inputs(lesson)
        place: str = kind
        share = 1.0
        if augmented is not None:
            inputs["augmented"] = augmented
            place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/{kind}"
        elif (share := self._share(cell)) < 1:
            place = f"frac-{share:g}/{kind}"
        return self._output(lesson, kind, place, {"fraction": share}, inputs)

    def _mixed(self, lesson: Lesson) -> Artefact:
        assert isinstance(lesson.method, MixKD)
        cell, inputs = lesson.cell, self._inputs(lesson)
        if lesson.augmented is not None:
            inputs["augmented"] = lesson.augmented
        place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/mixed"
        options = {axis: cell[axis] for axis in ("method", "student", "fraction")}
        return self._output(lesson, "mixed-logits", place, options, inputs)

    def _viewed(self, lesson: Lesson) -> Artefact:
        """Outputs on views, in as many epochs as the method of the grid needs that needs most."""
        share, inputs = self._share(lesson.cell), self._inputs(lesson)
        options = {"method": self._most_epochs(lesson), "student": lesson.cell["student"], "fraction": share}
        return self._output(lesson, "view-logits", f"frac-{share:g}/views", options, inputs)

    def _most_epochs(self, lesson: Lesson) -> str:
        """The method of the grid that asks about most epochs of the same views."""
        own = taught_training(lesson.method, lesson.training)
        found = {lesson.cell["method"]: own.epochs}
        for name in self.params.grid.methods:
            method = self.params.methods[name]
            if "logits" in method.recordings:
                taught = taught_training(method, effective_training(self.params, method.training, self._own(lesson)))
                if taught.views == own.views:
                    found[name] = taught.epochs
        return max(found, key=lambda name: found[name])

    def _own(self, lesson: Lesson) -> Mapping[str, Any]:
        """A student's own training settings."""
        return self.params.students[lesson.cell["student"]].training

    def _share(self, cell: Mapping[str, Any]) -> float:
        """The largest that a student sees, of which smaller ones are parts; a teacher of a share records its own."""
        own = self.params.teachers[cell["teacher"]].rows == "students"
        return float(cell["fraction"] if own else max(self.params.grid.fractions))

    def _inputs(self, lesson: Lesson) -> Inputs:
        return {"data": lesson.data, "teacher-dir": lesson.instructor}

    def _output(
        self, lesson: Lesson, kind: Recording, place: str, options: Mapping[str, Any], inputs: Inputs
    ) -> Artefact:
        cell, labels = lesson.cell, lesson.instructor.labels
        assistant = lesson.instructor.stage == "distill"
        chain = f"{labels['method']}-{labels['student']}/" if assistant else ""
        options = {"task": cell["task"], "teacher": cell["teacher"], "kind": kind, **options}
        place = f"{cell['task']}/{cell['teacher']}/{chain}{place}-seed-{labels['seed']}"
        return self.planner.made("record", options, inputs, place=place)
