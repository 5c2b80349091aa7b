"""Planning of a cell: the student, and the artefacts that it learns from. Light: no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.methods.base import BaseMethod, Before
from distilgrid.plan.fits import check_student
from distilgrid.plan.params import Params, effective_training
from distilgrid.plan.planner import Planner, misfit
from distilgrid.plan.settings import GridStudent
from distilgrid.signals.base import Lesson
from distilgrid.tasks.spec import find_task

Cell = Mapping[str, Any]
Instructors = tuple[Artefact, ...]
NONE = Before()
PLACE = "{task}/{teacher}/{method}/{student}/{augmentation}/frac-{fraction:g}/seed-{seed}"


def student(planner: Planner, cell: Cell) -> Artefact:
    """A cell: its task, teachers, method, student, augmentation, fraction and seed."""
    method = planner.params.methods[cell["method"]]
    before = method.before(cell, tempered=find_task(cell["task"], planner.params.tasks).task_kind.tempered)
    return _learner(planner, cell, method, _instructors(planner, cell, before), before)


def _learner(
    planner: Planner, cell: Cell, method: BaseMethod, instructors: Instructors, before: Before = NONE
) -> Artefact:
    """A model that learns from instructors."""
    own = planner.params.students[cell["student"]]
    training = method.trained(effective_training(planner.params, method.training, own.training))
    method.check(training)
    check_student(planner.params, cell, method, training)
    data, augmented = planner.ask("prepare", task=cell["task"]), _augmented(planner, cell)
    inputs = _inputs(planner, Lesson(cell, method, training, data, augmented, instructors), method, own)
    if before.tried:
        inputs["tried"] = _tried(planner, cell, before, instructors)
    return planner.made("distill", cell, inputs, place=PLACE.format(**cell))


def _inputs(planner: Planner, lesson: Lesson, method: BaseMethod, own: GridStudent) -> Inputs:
    """What a student is made from, by the command's option."""
    cell, inputs = lesson.cell, Inputs(data=lesson.data)
    if lesson.augmented is not None:
        inputs["augmented"] = lesson.augmented
    if method.runs_teacher:
        inputs["teacher-dir"] = list(lesson.instructors)
    else:
        inputs |= planner.recordings.of(lesson, method.signals())
    if own.init == "finetuned":
        inputs["teacher-dir"] = _teachers(planner, cell)
    if own.found is not None:
        inputs["search"] = found = _search(planner, cell, own)
        if own.init == "supernet":
            inputs["supernet"] = _supernet(found, student=cell["student"])
    return inputs


def _instructors(planner: Planner, cell: Cell, before: Before) -> Instructors:
    """The teachers, or the last assistant of a chain, each link of which learns from the one before."""
    instructors = tuple(_teachers(planner, cell))
    if not before.assistants:
        return instructors
    method = planner.params.methods[cell["method"]]
    for name in chain(planner.params, cell, before.assistants):
        link = {**cell, "student": name, "seed": before.assistant_seed}
        instructors = (_learner(planner, link, method, instructors),)
    return instructors


def _tried(planner: Planner, cell: Cell, before: Before, instructors: Instructors) -> list[Artefact]:
    """The cells among which tuning chooses: the same ones for all seeds."""
    named = [({**cell, "method": name, "seed": before.tried_seed}, method) for name, method in before.tried.items()]
    return [_learner(planner, own, method, instructors) for own, method in named]


def chain(params: Params, cell: Cell, assistants: Sequence[str]) -> list[str]:
    """The assistants between a cell's teacher and its student: those that read what its task is made of.

    Raises:
        UserError: for unknown assistants, none of the task's kind, the student itself among them, or a live chain whose
            models start from the teacher.
    """
    name, student = cell["method"], cell["student"]
    live = params.methods[name].runs_teacher
    for assistant in assistants:
        if assistant not in params.students:
            hint = did_you_mean(assistant, params.students)
            raise UserError(f"methods.{name}.assistants: unknown student '{assistant}'; {hint}")
    suited = [assistant for assistant in assistants if not misfit(params, {**cell, "student": assistant})]
    if not suited:
        raise UserError(f"methods.{name}.assistants: none is for task '{cell['task']}'; add one of its kind")
    if student in suited:
        said = f"the chain loops: student '{student}' would be its own assistant"
        raise UserError(f"methods.{name}.assistants: {said}; take it out of grid.students or of the chain")
    if live and any(params.students[n].init == "finetuned" for n in (student, *suited)):
        raise UserError(
            f"methods.{name}: a live chain cannot start students from the teacher (init: finetuned); record it"
        )
    return suited


def _teachers(planner: Planner, cell: Cell) -> list[Artefact]:
    """A cell's teachers, fine-tuned on its task."""
    task, fraction = cell["task"], cell["fraction"]
    return [planner.ask("finetune", task=task, teacher=name, fraction=fraction) for name in cell["teachers"]]


def _augmented(planner: Planner, cell: Cell) -> Artefact | None:
    if cell["augmentation"] == "none":
        return None
    return planner.ask("augment", **{axis: cell[axis] for axis in ("task", "teacher", "augmentation", "fraction")})


def _search(planner: Planner, cell: Cell, own: GridStudent) -> Artefact:
    """The search that a student's shape comes from.

    Raises:
        UserError: for an unknown search, or a seed or rank that it lacks.
    """
    assert own.found is not None
    place, wanted, searches = f"students.{cell['student']}.found", own.found, planner.params.searches
    if wanted.search not in searches:
        raise UserError(f"{place}.search: unknown search '{wanted.search}'; {did_you_mean(wanted.search, searches)}")
    search = searches[wanted.search]
    if wanted.seed not in search.seeds:
        raise UserError(f"{place}.seed: search '{wanted.search}' has the seeds {search.seeds}; take one of them")
    if wanted.rank > search.keep:
        raise UserError(f"{place}.rank: search '{wanted.search}' keeps {search.keep}; raise its `keep`")
    names = {"task": cell["task"], "teacher": cell["teachers"][0]}
    return planner.ask("search", **names, search=wanted.search, seed=wanted.seed)


def _supernet(search: Artefact, *, student: str) -> Artefact:
    """The supernet that a search asked, and as whose slice a student begins.

    Raises:
        UserError: when it asked none.
    """
    supernet = search.inputs.get("supernet")
    if not isinstance(supernet, Artefact):
        raise UserError(
            f"students.{student}.init: search '{search.labels['search']}' asks no supernet; set its estimator to one, "
            "or init to finetuned"
        )
    return supernet
