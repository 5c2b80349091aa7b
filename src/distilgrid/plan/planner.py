"""Planning: the cells whose parts suit each other, and every artefact that they need, once. Light: no torch."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product
from typing import Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.core.stage import Stage
from distilgrid.devices.settings import Device, load_device
from distilgrid.models.source import READERS, reads
from distilgrid.plan.fits import check_search
from distilgrid.plan.params import Params
from distilgrid.plan.recordings import Recordings
from distilgrid.plan.settings import Replication
from distilgrid.plan.teachers import teacher_names
from distilgrid.signals.base import Lesson
from distilgrid.tasks.spec import find_task

Table = Mapping[str, Stage]
Cell = dict[str, Any]


class Planner:
    """Plans the artefacts of a grid. Stages ask it for those that they read; it asks the stages that make these."""

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
        """A stage's artefact for options and inputs by name; equal ones are planned once. See `Stage.artefact`."""
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
        """The grid's cells, whose parts suit each other, and those with more seeds."""
        cells = fitting_cells(self.params)
        return [*cells, *replicated(self.params, cells)]

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
        check_search(self.params, search, teacher)
        method, training = estimator.method, estimator.trained(self.params.training)
        recorded = self.recordings.of(Lesson(cell, method, training, data, None, (instructor,)), method.signals())
        return {"data": data, "teacher-dir": instructor, **recorded}

    def largest_teachers(self) -> list[Artefact]:
        """For each task and teacher, the one that saw most rows."""
        teachers = self.of("finetune")
        ordered = sorted(teachers, key=lambda teacher: teacher.labels["fraction"])
        chosen = {(each.labels["task"], each.labels["teacher"]): each.folder for each in ordered}
        return [teacher for teacher in teachers if teacher.folder in chosen.values()]


def fitting_cells(params: Params) -> list[dict[str, Any]]:
    """The combinations of the axes whose teachers, student, method and augmentation suit the kind of their task.

    Raises UserError when a value of the grid is left without any cell, with the reason.
    """
    kept: list[dict[str, Any]] = []
    refused: list[tuple[dict[str, Any], str]] = []
    axes = {name.removesuffix("s"): values for name, values in params.grid.axes.items()}
    for values in product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        cell["teachers"] = teacher_names(cell["teacher"])
        if reason := misfit(params, cell):
            refused.append((cell, reason))
        else:
            kept.append(cell)
    for axis, labels in axes.items():
        for value in labels:
            if all(cell[axis] != value for cell in kept):
                reasons = list(dict.fromkeys(reason for cell, reason in refused if cell[axis] == value))[:2]
                raise UserError(f"grid.{axis}s: '{value}' fits nothing else in the grid; {'; '.join(reasons)}")
    return kept


def replicated(params: Params, cells: list[Cell]) -> Iterator[Cell]:
    """The cells of `grid.replications`, which have other seeds than the grid's.

    Raises UserError when a replication names no cell and no search of the grid, or a seed that is there already.
    """
    known: dict[tuple[Any, ...], dict[int, str]] = {}
    for place, replication in enumerate(params.grid.replications):
        origin, search = f"grid.replications.{place}", replication.search
        alike = _replicated_cells(params, cells, replication, origin)
        own = (params.grid.seeds, "grid.seeds") if search is None else _own_seeds(params, search)
        seeds = known.setdefault(tuple(replication.labels.items()), dict.fromkeys(*own))
        for seed in replication.seeds:
            if seed in seeds:
                raise UserError(f"{origin}.seeds: {seeds[seed]} has {seed}, too; take it out")
            seeds[seed] = f"{origin}.seeds"
            if search is None:
                yield {**alike[0], "seed": seed}


def _own_seeds(params: Params, search: str) -> tuple[list[int], str]:
    return params.searches[search].seeds, f"searches.{search}.seeds"


def _replicated_cells(params: Params, cells: list[Cell], replication: Replication, origin: str) -> list[Cell]:
    """The cells that a replication repeats, or those of the teacher that its search learns from."""
    search, wanted = replication.search, replication.cell
    if search is None:
        alike = [cell for cell in cells if wanted.items() <= cell.items()]
    else:
        if search not in params.grid.searches:
            hint = did_you_mean(search, params.grid.searches)
            raise UserError(f"{origin}: the grid compares no search '{search}'; {hint}")
        wanted = {axis: wanted[axis] for axis in ("task", "teacher")}
        alike = [c for c in cells if c["task"] == wanted["task"] and wanted["teacher"] in c["teachers"]]
    if not alike:
        said = ", ".join(f"{axis} {value}" for axis, value in wanted.items())
        raise UserError(f"{origin}: the grid has no cell with {said}; correct it")
    return alike


def misfit(params: Params, cell: Mapping[str, Any]) -> str:
    """Why a cell's parts do not suit each other, and what to do; empty where they do."""
    kind, student = find_task(cell["task"], params.tasks).task_kind, params.students[cell["student"]]
    if any(reads(source) != kind.modality for source in _sources(params, cell)):
        wanted = f"tasks of {kind.words.rows} like '{cell['task']}' want teachers and students that read them"
        return f"{wanted}: take {READERS.get(kind.modality, f'models of {kind.words.rows}')}, or take it out"
    if not kind.tokenised and (student.found is not None or cell["augmentation"] != "none"):
        return "searches and augmentations are for texts: add a text task, or take it out"
    method, count = params.methods[cell["method"]], len(cell["teachers"])
    if not method.accepts(kind.name, teachers=count):
        return _unaccepted(cell, kind.name, *method.teachers, suited=method.suits_kind(kind.name))
    return ""


def _sources(params: Params, cell: Mapping[str, Any]) -> list[str]:
    student = params.students[cell["student"]].source or ""
    return [params.teachers[name].source for name in cell["teachers"]] + [student]


def _unaccepted(cell: Mapping[str, Any], kind: str, fewest: int, most: int, *, suited: bool) -> str:
    name = cell["method"]
    if not suited:
        return f"method '{name}' does not suit {kind} tasks like '{cell['task']}': add another task, or take it out"
    wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    given = f"'{cell['teacher']}' has {len(cell['teachers'])}"
    return f"method '{name}' learns from {wanted} teacher(s), but {given}: change grid.teachers, or take it out"
