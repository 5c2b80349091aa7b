"""How a cell is planned: the student, and before it what it learns from. Light: no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.methods.annealing_kd.schedule import check_schedule
from distilgrid.methods.settings import KD, TAKD, Method, MixKD
from distilgrid.models.settings import Student
from distilgrid.plan.fitting import fits
from distilgrid.plan.params import Params, effective_training
from distilgrid.plan.recordings import Lesson
from distilgrid.signals.mixed.settings import check_batches
from distilgrid.tasks.spec import find_task

if TYPE_CHECKING:
    from distilgrid.plan.planner import Planner

Cell = Mapping[str, Any]
PLACE = "{task}/{teacher}/{method}/{student}/{augmentation}/frac-{fraction:g}/seed-{seed}"


def student(planner: "Planner", cell: Cell) -> Artefact:
    """A cell: its task, teacher, method, student, augmentation, fraction and seed."""
    method = planner.params.methods[cell["method"]]
    return learner(planner, cell, method, instructor(planner, cell, method))


def learner(planner: "Planner", cell: Cell, method: Method, teacher: Artefact) -> Artefact:
    """A model that learns from an instructor: the teacher, or an assistant."""
    own = planner.params.students[cell["student"]]
    training = effective_training(planner.params, method.training, own.training)
    if isinstance(method, MixKD):
        check_batches(training)
    check_schedule(method, training)
    data, augmented = planner.ask("prepare", task=cell["task"]), _augmented(planner, cell)
    inputs: Inputs = {"data": data}
    if augmented is not None:
        inputs["augmented"] = augmented
    if method.runs_teacher:
        inputs["teacher-dir"] = teacher
    else:
        inputs |= planner.recordings.of(Lesson(cell, method, training, data, augmented, teacher))
    if own.init == "finetuned":
        inputs["teacher-dir"] = _teacher(planner, cell)
    if own.found is not None:
        inputs["search"] = found = _search(planner, cell, own)
        if own.init == "supernet":
            inputs["supernet"] = _supernet(found, student=cell["student"])
    if isinstance(method, KD) and method.search is not None:
        inputs["candidate"] = tuned(planner, cell, method, teacher)
    return planner.made("distill", cell, inputs, place=PLACE.format(**cell))


def instructor(planner: "Planner", cell: Cell, method: Method) -> Artefact:
    """The teacher, or the last assistant of a chain, each link of which learns from the one before."""
    found = _teacher(planner, cell)
    if not isinstance(method, TAKD):
        return found
    for name in chain(planner.params, cell, method):
        found = learner(planner, {**cell, "student": name, "seed": method.assistant_seed}, method, found)
    return found


def tuned(planner: "Planner", cell: Cell, method: KD, teacher: Artefact) -> list[Artefact]:
    """The cells among which a tuning chooses: the same ones for all seeds."""
    assert method.search is not None
    regression = find_task(cell["task"], planner.params.tasks).regression
    seed, tried = method.search.seed, method.candidates(cell["method"], regression=regression)
    return [learner(planner, {**cell, "method": n, "seed": seed}, each, teacher) for n, each in tried.items()]


def chain(params: Params, cell: Cell, method: TAKD) -> list[str]:
    """The assistants between a cell's teacher and its student: those that read what its task is made of.

    Raises:
        UserError: for unknown assistants, none of the task's kind, the student itself among them, or a live chain whose
            models start from the teacher.
    """
    name, student = cell["method"], cell["student"]
    for assistant in method.assistants:
        if assistant not in params.students:
            hint = did_you_mean(assistant, params.students)
            raise UserError(f"methods.{name}.assistants: unknown student '{assistant}'; {hint}")
    suited = [assistant for assistant in method.assistants if fits(params, {**cell, "student": assistant})]
    if not suited:
        raise UserError(f"methods.{name}.assistants: none is for task '{cell['task']}'; add one of its kind")
    if student in suited:
        said = f"the chain loops: student '{student}' would be its own assistant"
        raise UserError(f"methods.{name}.assistants: {said}; take it out of grid.students or of the chain")
    if method.runs_teacher and any(params.students[n].init == "finetuned" for n in (student, *suited)):
        raise UserError(
            f"methods.{name}: a live chain cannot start students from the teacher (init: finetuned); record it"
        )
    return suited


def _teacher(planner: "Planner", cell: Cell) -> Artefact:
    return planner.ask("finetune", task=cell["task"], teacher=cell["teacher"], fraction=cell["fraction"])


def _augmented(planner: "Planner", cell: Cell) -> Artefact | None:
    if cell["augmentation"] == "none":
        return None
    return planner.ask("augment", **{axis: cell[axis] for axis in ("task", "teacher", "augmentation", "fraction")})


def _search(planner: "Planner", cell: Cell, own: Student) -> Artefact:
    """The search that a student's shape comes from.

    Raises:
        UserError: when there is none, or it has no such seed or rank.
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
    return planner.ask("search", task=cell["task"], teacher=cell["teacher"], search=wanted.search, seed=wanted.seed)


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
