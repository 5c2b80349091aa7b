"""Planning of teachers' recorded outputs, each once for all students that share it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from distilgrid.core.planned import Artefact, Inputs
from distilgrid.plan.params import Params, effective_training
from distilgrid.signals.base import Lesson, Signal
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.methods.base import BaseMethod


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

    def share(self, lesson: Lesson, instructor: Artefact, name: str) -> float:
        """The largest share of the training rows on which a model of the grid learns the signal from an instructor.

        A teacher of a share, and an assistant, teach students of that share alone.
        """
        own, search, assistant = lesson.cell["fraction"], lesson.cell.get("search"), instructor.stage == "distill"
        bound = assistant or self.params.teachers[str(instructor.labels["teacher"])].rows == "students"
        learned = search is None or any(_wants(method, name) for method in self._recorded(lesson.cell).values())
        shares = [share for share in self.params.grid.fractions if learned and (share == own or not bound)]
        if not assistant and (own == 1 or not bound):  # searches learn from the teacher of all rows
            known, planned = self.params.searches, {search, *self._searches}
            estimators = [each.estimator for searched, each in known.items() if searched in planned]
            shares += [each.share for each in estimators if _wants(each.method, name)]
        return float(max(shares))

    @cached_property
    def _searches(self) -> set[str]:
        """The searches of the grid, and those that its students' shapes come from."""
        students = [self.params.students[name].found for name in self.params.grid.students]
        return {*self.params.grid.searches, *(found.search for found in students if found)}

    def _recorded(self, cell: Mapping[str, Any]) -> "dict[str, BaseMethod]":
        """The grid's methods that suit a cell's task and learn from recordings, by name."""
        kind = find_task(cell["task"], self.params.tasks).kind
        methods = {name: self.params.methods[name] for name in self.params.grid.methods}
        return {name: each for name, each in methods.items() if each.suits_kind(kind) and not each.runs_teacher}

    def asking(self, lesson: Lesson, name: str) -> dict[str, Training]:
        """The grid's methods that want a recording of that name for the student, with settings of taught epochs."""
        own, viewed = self.params.students[lesson.cell["student"]].training, self._viewed(lesson.cell)
        found: dict[str, Training] = {}
        for method_name, method in self._recorded(lesson.cell).items():
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


def _wants(method: "BaseMethod", name: str) -> bool:
    return any(signal.name == name for signal in method.signals())
