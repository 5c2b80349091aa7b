"""Planning of teachers' recorded outputs, each once for all students that share it."""

from collections.abc import Callable, Mapping
from typing import Any

from distilgrid.core.planned import Artefact, Inputs
from distilgrid.plan.params import Params, effective_training
from distilgrid.signals.base import Lesson, Signal
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Training


class Recordings:
    """Plans recordings of instructors, as signals ask for them; `made` plans an artefact once, as `Planner.made`."""

    def __init__(self, params: Params, made: Callable[..., Artefact]) -> None:
        self.params, self._made = params, made
        self._known: dict[tuple[Any, ...], Inputs] = {}

    def of(self, lesson: Lesson, signals: tuple[Signal, ...]) -> Inputs:
        """The recordings that a lesson needs of its signals, by the command's option; all seeds share them."""
        axes = ("task", "teacher", "method", "student", "augmentation", "fraction", "search")
        key = (*(lesson.cell.get(axis) for axis in axes), *(each.folder for each in lesson.instructors))
        if key not in self._known:
            inputs: dict[str, list[Artefact]] = {}
            taught = lesson.method.taught(lesson.training)
            for signal in signals:
                seen = signal.seen(viewed=self._viewed(lesson.cell), taught=taught)
                inputs.setdefault(seen.option, []).extend(seen.plan(lesson, self))
            self._known[key] = dict(inputs)
        return self._known[key]

    def share(self, lesson: Lesson, instructor: Artefact) -> float:
        """The share of the training rows that serves all students of the grid; a teacher of a share records its own."""
        own = self.params.teachers[str(instructor.labels["teacher"])].rows == "students"
        return float(lesson.cell["fraction"] if own else max(self.params.grid.fractions))

    def asking(self, lesson: Lesson, name: str) -> dict[str, Training]:
        """The grid's methods that want a signal of that name for the student, with settings of their taught epochs."""
        own, viewed = self.params.students[lesson.cell["student"]].training, self._viewed(lesson.cell)
        found: dict[str, Training] = {}
        for method_name in self.params.grid.methods:
            method = self.params.methods[method_name]
            if method.signals():
                taught = method.taught(effective_training(self.params, method.training, own))
                if any(signal.seen(viewed=viewed, taught=taught).name == name for signal in method.signals()):
                    found[method_name] = taught
        return found

    def record(
        self,
        signal: Signal,
        lesson: Lesson,
        instructor: Artefact,
        *,
        place: str,
        fraction: float,
        augmented: Artefact | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Artefact:
        """A recording of an instructor's outputs, planned once for all students that share it.

        `place` ends its path. `augmented` rows are recorded instead of the prepared ones, or with them. The stage finds
        the signal again by the `options`, in addition to task, teacher, kind and fraction.
        """
        inputs: Inputs = {"data": lesson.data, "teacher-dir": instructor}
        if augmented is not None:
            inputs["augmented"] = augmented
        labels, task = instructor.labels, lesson.cell["task"]
        teacher = labels["teacher"]  # of an assistant, that at the head of its chain
        assistant = instructor.stage == "distill"
        chain = f"{labels['method']}-{labels['student']}/" if assistant else ""
        given = {"task": task, "teacher": teacher, "kind": signal.name, "fraction": fraction, **(options or {})}
        return self._made("record", given, inputs, place=f"{task}/{teacher}/{chain}{place}-seed-{labels['seed']}")

    def _viewed(self, cell: Mapping[str, Any]) -> bool:
        return find_task(cell["task"], self.params.tasks).task_kind.viewed
