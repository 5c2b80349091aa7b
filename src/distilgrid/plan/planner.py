"""Planning: every artefact that a grid needs, each once, as the stages declare it. Light: no torch."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import product
from typing import Any

from distilgrid.core.planned import Artefact, Inputs
from distilgrid.core.stage import Stage
from distilgrid.devices.settings import Device, load_device
from distilgrid.plan.fitting import fitting_cells
from distilgrid.plan.params import Params
from distilgrid.plan.recordings import Recordings
from distilgrid.plan.teachers import teacher_names
from distilgrid.signals.base import Lesson
from distilgrid.tasks.spec import find_task

Table = Mapping[str, Stage]
Cell = dict[str, Any]


class Planner:
    """Plans the artefacts of a grid.

    Stages ask it for the artefacts that they read; it asks the stages that make these.

    Args:
        params: the grid's.
        stages: the stage table.

    """

    def __init__(self, params: Params, stages: Table) -> None:
        self.params, self.stages = params, stages
        self.wanted: dict[str, list[Artefact]] = {}  # by stage, for the grid itself; all else is made on the way
        self.folders: dict[str, Artefact] = {}  # every artefact by its folder
        self._made: dict[str, list[Artefact]] = {name: [] for name in stages}
        self._asked: dict[tuple[Any, ...], Artefact] = {}
        self.recordings = Recordings(params, self.made)

    def plan(self) -> None:
        """Ask every stage for the artefacts that the grid wants."""
        for name, stage in self.stages.items():
            self.wanted[name] = list(stage.wanted(self))

    def ask(self, stage: str, **names: Any) -> Artefact:
        """The artefact that a stage makes for some values of its options."""
        key = (stage, *sorted(names.items()))
        if key not in self._asked:
            self._asked[key] = self.stages[stage].plan(self, names)
        return self._asked[key]

    def made(self, stage: str, options: Mapping[str, Any], inputs: Inputs, *, place: str) -> Artefact:
        """A stage's artefact for options and inputs; equal ones are planned once.

        Args:
            stage: its name.
            options: values, by name.
            inputs: planned artefacts, by option.
            place: below the stage's folder, without the key.
        """
        artefact = self.stages[stage].artefact(self.params, options, inputs, place=place)
        known = self.folders.setdefault(artefact.folder, artefact)
        if known is artefact:
            self._made[stage].append(artefact)
        return known

    def of(self, stage: str) -> list[Artefact]:
        """All artefacts of a stage planned until now."""
        return list(self._made[stage])

    def shown(self, stage: str) -> list[Artefact]:
        """The artefacts in results: without models that are trained on the way to the grid's cells."""
        return self.wanted[stage] if stage == "distill" else self.of(stage)

    @cached_property
    def cells(self) -> list[Cell]:
        """The grid's cells, whose parts suit each other."""
        return fitting_cells(self.params, _cells(self.params))

    @cached_property
    def devices(self) -> dict[str, Device]:
        """Devices that measure latency, by name."""
        return {name: load_device(name) for name in self.params.benchmark.devices}

    def of_texts(self, task: str) -> bool:
        """Whether a task is made of texts."""
        return find_task(task, self.params.tasks).task_kind.tokenised

    def taught(self, task: str, teacher: str, search: str) -> Inputs:
        """Inputs that the candidates of a search learn from: data, the teacher, its recorded outputs."""
        estimator = self.params.searches[search].estimator
        cell: Cell = {"task": task, "teacher": teacher, "teachers": (teacher,), "search": search}
        cell |= {"augmentation": "none", "fraction": 1.0, "seed": 0}
        data = self.ask("prepare", task=task)
        instructor = self.ask("finetune", task=task, teacher=teacher, fraction=1.0)
        method, training = estimator.method, estimator.trained(self.params.training)
        recorded = self.recordings.of(Lesson(cell, method, training, data, None, (instructor,)), method.signals())
        return {"data": data, "teacher-dir": instructor, **recorded}

    def largest_teachers(self) -> list[Artefact]:
        """For each task and teacher, the one that saw most rows."""
        teachers = self.of("finetune")
        ordered = sorted(teachers, key=lambda teacher: teacher.labels["fraction"])
        chosen = {(each.labels["task"], each.labels["teacher"]): each.folder for each in ordered}
        return [teacher for teacher in teachers if teacher.folder in chosen.values()]


def _cells(params: Params) -> Iterable[Cell]:
    """All combinations of the axes."""
    grid = params.grid
    axes: dict[str, Iterable[Any]] = {
        "task": grid.tasks,
        "teacher": grid.teacher_labels,
        "method": grid.methods,
        "student": grid.students,
        "augmentation": grid.augmentations,
        "fraction": grid.fractions,
        "seed": grid.seeds,
    }
    for values in product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        yield {**cell, "teachers": teacher_names(cell["teacher"])}
