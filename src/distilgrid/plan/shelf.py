"""The part of a plan that trains: data, teachers, augmented rows, teacher outputs and students, each planned once."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import AUGMENT_FILES, DATA_FILES, MODEL_FILES, Artefact, Inputs, input_keys
from distilgrid.methods.base import BaseMethod, Before
from distilgrid.models.source import model_revision
from distilgrid.plan.fitting import fits
from distilgrid.plan.learners import Student
from distilgrid.plan.lent_texts import text_pool
from distilgrid.plan.params import Params, data_folders, effective_training
from distilgrid.plan.recipes import augment_recipe, distill_recipe, finetune_recipe, prepare_recipe
from distilgrid.plan.recordings import Recordings
from distilgrid.plan.searches import Searches, supernet_of
from distilgrid.plan.teachers import teacher_names
from distilgrid.search.settings import Search
from distilgrid.signals.base import Lesson
from distilgrid.tasks.sources import source_revision
from distilgrid.tasks.spec import find_task

STUDENT = "students/{task}/{teacher}/{method}/{student}/{augmentation}/frac-{fraction:g}/seed-{seed}"


def teacher_labels(task: str, name: str, seed: int, fraction: float = 1.0) -> dict[str, Any]:
    """What tables say about a fine-tuned teacher."""
    return {"task": task, "teacher": name, "method": "teacher", "student": name, "seed": seed, "fraction": fraction}


def origin_source(params: Params, student: Student, teacher: str) -> str:
    """The source of the model that a student starts from: its own, or the first teacher's pretrained one."""
    return student.source or params.teachers[teacher_names(teacher)[0]].source


def chain(params: Params, cell: Mapping[str, Any], assistants: Sequence[str]) -> list[str]:
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
    suited = [assistant for assistant in assistants if fits(params, {**cell, "student": assistant})]
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


class Shelf:
    """Plans students, and before them what they are made from.

    Attributes:
        helpers: models that are trained on the way to others: assistants, and the cells that tuning compares.
        searches: of architectures.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self.data: dict[str, Artefact] = {}
        self.teachers: dict[tuple[str, str, float], Artefact] = {}
        self.augmented: dict[str, Artefact] = {}
        self.helpers: dict[str, Artefact] = {}
        self.recordings = Recordings(params)
        self.searches = Searches(params, self._taught, self._origin)

    def student(self, cell: dict[str, Any]) -> Artefact:
        """A cell: its task, teachers, method, student, augmentation, fraction and seed."""
        method = self.params.methods[cell["method"]]
        before = method.before(cell, tempered=find_task(cell["task"], self.params.tasks).task_kind.tempered)
        return self._learner(cell, method, self._instructors(cell, before), before)

    def _learner(
        self, cell: Mapping[str, Any], method: BaseMethod, instructors: tuple[Artefact, ...], before: Before
    ) -> Artefact:
        """A model that learns from instructors."""
        student = self.params.students[cell["student"]]
        training = effective_training(self.params, method.training, student.training)
        method.check(training)
        lesson = Lesson(cell, method, training, self._data(cell["task"]), self._augmented(cell), instructors)
        inputs = self._inputs(lesson, method, student)
        if before.tried:
            inputs["tried"] = self._tried(cell, before, instructors)
        named = {name: value for name, value in cell.items() if name != "teachers"}
        recipe = distill_recipe(
            method=method,
            student=student,
            origin=model_revision(origin_source(self.params, student, cell["teacher"])),
            training=training,
            augmentation=cell["augmentation"],
            fraction=cell["fraction"],
            seed=cell["seed"],
            inputs=input_keys(inputs),
        )
        options = {name: str(value) for name, value in named.items()}
        return Artefact("distill", STUDENT.format(**cell), recipe, MODEL_FILES, options, inputs, named)

    def _inputs(self, lesson: Lesson, method: BaseMethod, student: Student) -> Inputs:
        """What a student is made from, by the command's option."""
        cell, inputs = lesson.cell, Inputs(data=lesson.data)
        if lesson.augmented is not None:
            inputs["augmented"] = lesson.augmented
        if method.runs_teacher:
            inputs["teacher-dir"] = list(lesson.instructors)
        else:
            inputs |= self.recordings.of(lesson, method.signals())
        if student.init == "finetuned":
            inputs["teacher-dir"] = self._teachers(cell)
        if student.found is not None:
            inputs["search"] = search = self.searches.of_student({**cell, "teacher": cell["teachers"][0]}, student)
            if student.init == "supernet":
                inputs["supernet"] = supernet_of(search, student=cell["student"])
        return inputs

    def _instructors(self, cell: Mapping[str, Any], before: Before) -> tuple[Artefact, ...]:
        """The teachers, or the last assistant of a chain, each link of which learns from the one before."""
        instructors = tuple(self._teachers(cell))
        if not before.assistants:
            return instructors
        method = self.params.methods[cell["method"]]
        for name in chain(self.params, cell, before.assistants):
            link = {**cell, "student": name, "seed": before.assistant_seed}
            instructors = (self._helper(self._learner(link, method, instructors, Before())),)
        return instructors

    def _tried(self, cell: Mapping[str, Any], before: Before, instructors: tuple[Artefact, ...]) -> list[Artefact]:
        """The cells among which tuning chooses: the same ones for all seeds."""
        named = [({**cell, "method": n, "seed": before.tried_seed}, method) for n, method in before.tried.items()]
        return [self._helper(self._learner(own, method, instructors, Before())) for own, method in named]

    def _taught(self, task: str, teacher: str, search: Search) -> Inputs:
        """What the candidates of a search learn from: data, the teacher, its recorded outputs."""
        cell: dict[str, Any] = {"task": task, "teacher": teacher, "teachers": (teacher,), "augmentation": "none"}
        cell |= {"fraction": 1.0, "seed": 0}
        data, instructor, method = self._data(task), self._teacher(cell, teacher), search.estimator.method
        lesson = Lesson(cell, method, search.estimator.trained(self.params.training), data, None, (instructor,))
        return {"data": data, "teacher-dir": instructor, **self.recordings.of(lesson, method.signals())}

    def _origin(self, teacher: str) -> str:
        return model_revision(self.params.teachers[teacher].source)

    def _helper(self, made: Artefact) -> Artefact:
        return self.helpers.setdefault(made.folder, made)

    def _data(self, task: str) -> Artefact:
        if task not in self.data:
            spec = find_task(task, self.params.tasks)
            revision = source_revision(spec, data_folders(self.params))
            recipe = prepare_recipe(spec=spec, revision=revision, data=self.params.data)
            location = f"data/{task}/{task}"
            self.data[task] = Artefact("prepare", location, recipe, DATA_FILES, {"task": task}, {}, {"task": task})
        return self.data[task]

    def _teachers(self, cell: Mapping[str, Any]) -> list[Artefact]:
        """A cell's teachers, fine-tuned on its task."""
        return [self._teacher(cell, name) for name in cell["teachers"]]

    def _teacher(self, cell: Mapping[str, Any], name: str) -> Artefact:
        task = cell["task"]
        teacher = self.params.teachers[name]
        fraction = cell["fraction"] if teacher.rows == "students" else 1.0
        if (task, name, fraction) not in self.teachers:
            data = self._data(task)
            recipe = finetune_recipe(
                model=model_revision(teacher.source),
                training=effective_training(self.params, teacher.training),
                seed=teacher.seed,
                data=data.key,
                fraction=fraction,
            )
            part = "" if fraction == 1 else f"frac-{fraction:g}/"
            self.teachers[task, name, fraction] = Artefact(
                "finetune",
                f"teachers/{task}/{name}/{part}seed-{teacher.seed}",
                recipe,
                MODEL_FILES,
                {"task": task, "teacher": name, "fraction": str(fraction)},
                {"data": data},
                teacher_labels(task, name, teacher.seed, fraction),
            )
        return self.teachers[task, name, fraction]

    def _augmented(self, cell: Mapping[str, Any]) -> Artefact | None:
        name, task = cell["augmentation"], cell["task"]
        if name == "none":
            return None
        settings = self.params.augmentations[name]
        inputs: Inputs = {"data": self._data(task)}
        place = f"augmented/{task}/{name}"
        pool = text_pool(self.params, task=task, augmentation=name)
        if settings.needs_teacher:
            inputs["teacher-dir"] = self._teachers(cell)[0]
            place += f"/{cell['teachers'][0]}"
        recipe = augment_recipe(
            settings=settings,
            models=[model_revision(source) for source in settings.sources],
            texts=[] if pool is None else pool.revisions(),
            fraction=cell["fraction"],
            inputs=input_keys(inputs),
        )
        chosen = {axis: cell[axis] for axis in ("task", "augmentation", "fraction")}
        chosen["teacher"] = cell["teachers"][0]
        options = {axis: str(value) for axis, value in chosen.items()}
        location = f"{place}/frac-{cell['fraction']:g}/{name}"
        made = Artefact("augment", location, recipe, AUGMENT_FILES, options, inputs, chosen)
        return self.augmented.setdefault(made.folder, made)
