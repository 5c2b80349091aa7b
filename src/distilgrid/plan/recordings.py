"""The part of a plan that asks teachers: their recorded outputs, each planned once for all students that share it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distilgrid.core.planned import RECORD_FILES, Artefact, Inputs, input_keys
from distilgrid.methods.annealing_kd.schedule import taught_training
from distilgrid.methods.settings import Method, MixKD, Recording
from distilgrid.plan.params import Params, effective_training
from distilgrid.plan.recipes import mixed_recipe, record_recipe, view_recipe
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Training


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

    def __init__(self, params: Params) -> None:
        self.params = params
        self.outputs: dict[str, Artefact] = {}

    def of(self, lesson: Lesson) -> Inputs:
        """What a lesson needs, by the command's option."""
        inputs: Inputs = {}
        views = taught_training(lesson.method, lesson.training).views
        for kind in lesson.method.recordings:
            if kind == "mixed-logits":
                inputs["mixed-outputs"] = self._mixed(lesson)
            elif views.drawn and find_task(lesson.cell["task"], self.params.tasks).task_kind.viewed:
                inputs["teacher-outputs"] = self._viewed(lesson)
            else:
                parts = [None, lesson.augmented] if lesson.augmented else [None]
                inputs["teacher-outputs"] = [self._plain(lesson, kind, part) for part in parts]
        return inputs

    def _plain(self, lesson: Lesson, kind: Recording, augmented: Artefact | None) -> Artefact:
        """Outputs on the prepared rows that any student of the grid sees, or on augmented ones."""
        cell, inputs = lesson.cell, self._inputs(lesson)
        place: str = kind
        rows, share = lesson.data, 1.0
        if augmented is not None:
            inputs["augmented"] = rows = augmented
            place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/{kind}"
        elif (share := self._share(cell)) < 1:
            place = f"frac-{share:g}/{kind}"
        length, teacher = self._max_length(cell), lesson.instructor.key
        recipe = record_recipe(kind=kind, max_length=length, data=rows.key, teacher=teacher, fraction=share)
        return self._output(lesson, kind, place, recipe, {"fraction": str(share)} if share < 1 else {}, inputs)

    def _mixed(self, lesson: Lesson) -> Artefact:
        assert isinstance(lesson.method, MixKD)
        cell, inputs = lesson.cell, self._inputs(lesson)
        if lesson.augmented is not None:
            inputs["augmented"] = lesson.augmented
        recipe = mixed_recipe(
            mixup=lesson.method.mixup,
            training=lesson.training,
            max_length=self._max_length(cell),
            fraction=cell["fraction"],
            inputs=input_keys(inputs),
        )
        place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/mixed"
        options = {axis: str(cell[axis]) for axis in ("method", "student", "fraction")}
        return self._output(lesson, "mixed-logits", place, recipe, options, inputs)

    def _viewed(self, lesson: Lesson) -> Artefact:
        """Outputs on views, in as many epochs as the method of the grid needs that needs most."""
        views = taught_training(lesson.method, lesson.training).views
        longest, epochs = self._most_epochs(lesson)
        share, inputs = self._share(lesson.cell), self._inputs(lesson)
        recipe = view_recipe(views=views, epochs=epochs, fraction=share, inputs=input_keys(inputs))
        options = {"method": longest, "student": lesson.cell["student"], "fraction": str(share)}
        return self._output(lesson, "view-logits", f"frac-{share:g}/views", recipe, options, inputs)

    def _most_epochs(self, lesson: Lesson) -> tuple[str, int]:
        """The method of the grid that asks about most epochs of the same views, and how many these are."""
        own = taught_training(lesson.method, lesson.training)
        found = {lesson.cell["method"]: own.epochs}
        for name in self.params.grid.methods:
            method = self.params.methods[name]
            if "logits" in method.recordings:
                taught = taught_training(method, effective_training(self.params, method.training, self._own(lesson)))
                if taught.views == own.views:
                    found[name] = taught.epochs
        longest = max(found, key=lambda name: found[name])
        return longest, found[longest]

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
        self,
        lesson: Lesson,
        kind: Recording,
        place: str,
        recipe: Mapping[str, Any],
        options: Mapping[str, str],
        inputs: Inputs,
    ) -> Artefact:
        cell, labels = lesson.cell, lesson.instructor.labels
        assistant = lesson.instructor.stage == "distill"
        chain = f"{labels['method']}-{labels['student']}/" if assistant else ""
        location = f"teacher-outputs/{cell['task']}/{cell['teacher']}/{chain}{place}-seed-{labels['seed']}"
        options = {"task": cell["task"], "teacher": cell["teacher"], "kind": kind, **options}
        made = Artefact(
            "record", location, recipe, RECORD_FILES, options, inputs, {**labels, "method": "record", "kind": kind}
        )
        return self.outputs.setdefault(made.folder, made)

    def _max_length(self, cell: Mapping[str, Any]) -> int:
        return effective_training(self.params, self.params.teachers[cell["teacher"]].training).max_length
