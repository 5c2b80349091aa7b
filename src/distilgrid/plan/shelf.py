"""The part of a plan that trains: data, teachers, augmented rows, teacher outputs and students, each planned once."""

from collections.abc import Mapping
from typing import Any

from distilgrid.augmentation.pool import text_pool
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import AUGMENT_FILES, DATA_FILES, MODEL_FILES, Artefact, Inputs, input_keys
from distilgrid.methods.annealing_kd.schedule import check_schedule
from distilgrid.methods.settings import KD, TAKD, Method, MixKD
from distilgrid.models.settings import Student
from distilgrid.models.source import model_revision
from distilgrid.plan.fitting import fits
from distilgrid.plan.params import Params, data_folders, effective_training
from distilgrid.plan.recipes import augment_recipe, distill_recipe, finetune_recipe, prepare_recipe
from distilgrid.plan.recordings import Lesson, Recordings
from distilgrid.plan.searches import Searches, supernet_of
from distilgrid.search.settings import Search
from distilgrid.signals.mixed.settings import check_batches
from distilgrid.tasks.sources import source_revision
from distilgrid.tasks.spec import find_task

STUDENT = "students/{task}/{teacher}/{method}/{student}/{augmentation}/frac-{fraction:g}/seed-{seed}"


def teacher_labels(task: str, name: str, seed: int, fraction: float = 1.0) -> dict[str, Any]:
    """What tables say about a fine-tuned teacher."""
    return {"task": task, "teacher": name, "method": "teacher", "student": name, "seed": seed, "fraction": fraction}


def origin_source(params: Params, student: Student, teacher: str) -> str:
    """The source of the model that a student starts from: its own, or the teacher's pretrained one."""
    return student.source or params.teachers[teacher].source


def chain(params: Params, cell: Mapping[str, Any], method: TAKD) -> list[str]:
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


class Shelf:
    """Plans students, and before them what they are made from.

    Attributes:
        helpers: models that are trained on the way to others: assistants, and candidates of searches.
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
        """A cell: its task, teacher, method, student, augmentation, fraction and seed."""
        method = self.params.methods[cell["method"]]
        return self._learner(cell, method, self._instructor(cell, method))

    def _learner(self, cell: Mapping[str, Any], method: Method, instructor: Artefact) -> Artefact:
        """A model that learns from an instructor."""
        student = self.params.students[cell["student"]]
        training = effective_training(self.params, method.training, student.training)
        if isinstance(method, MixKD):
            check_batches(training)
        check_schedule(method, training)
        data, augmented = self._data(cell["task"]), self._augmented(cell)
        inputs: Inputs = {"data": data}
        if augmented is not None:
            inputs["augmented"] = augmented
        if method.runs_teacher:
            inputs["teacher-dir"] = instructor
        else:
            inputs |= self.recordings.of(Lesson(cell, method, training, data, augmented, instructor))
        if student.init == "finetuned":
            inputs["teacher-dir"] = self._teacher(cell)
        if student.found is not None:
            inputs["search"] = search = self.searches.of_student(cell, student)
            if student.init == "supernet":
                inputs["supernet"] = supernet_of(search, student=cell["student"])
        if isinstance(method, KD) and method.search is not None:
            inputs["candidate"] = self._candidates(cell, method, instructor)
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
        options = {name: str(value) for name, value in cell.items()}
        return Artefact("distill", STUDENT.format(**cell), recipe, MODEL_FILES, options, inputs, dict(cell))

    def _instructor(self, cell: Mapping[str, Any], method: Method) -> Artefact:
        """The teacher, or the last assistant of a chain, each link of which learns from the one before."""
        instructor = self._teacher(cell)
        if not isinstance(method, TAKD):
            return instructor
        for name in chain(self.params, cell, method):
            link = {**cell, "student": name, "seed": method.assistant_seed}
            instructor = self._helper(self._learner(link, method, instructor))
        return instructor

    def _candidates(self, cell: Mapping[str, Any], method: KD, instructor: Artefact) -> list[Artefact]:
        """The cells among which a search chooses: the same ones for all seeds."""
        assert method.search is not None
        kind = find_task(cell["task"], self.params.tasks).task_kind
        seed, tried = method.search.seed, method.candidates(cell["method"], kind=kind)
        named = [({**cell, "method": name, "seed": seed}, candidate) for name, candidate in tried.items()]
        return [self._helper(self._learner(own, candidate, instructor)) for own, candidate in named]

    def _taught(self, task: str, teacher: str, search: Search) -> Inputs:
        """What the candidates of a search learn from: data, the teacher, its recorded outputs."""
        cell = {"task": task, "teacher": teacher, "augmentation": "none", "fraction": 1.0, "seed": 0}
        data, instructor, method = self._data(task), self._teacher(cell), search.estimator.method
        lesson = Lesson(cell, method, search.estimator.trained(self.params.training), data, None, instructor)
        return {"data": data, "teacher-dir": instructor, **self.recordings.of(lesson)}

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

    def _teacher(self, cell: Mapping[str, Any]) -> Artefact:
        task, name = cell["task"], cell["teacher"]
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
        if settings.rewrites_with_teacher or settings.labels == "teacher":
            inputs["teacher-dir"] = self._teacher(cell)
            place += f"/{cell['teacher']}"
        recipe = augment_recipe(
            settings=settings,
            models=[model_revision(source) for source in settings.sources],
            texts=[] if pool is None else pool.revisions(),
            fraction=cell["fraction"],
            inputs=input_keys(inputs),
        )
        chosen = {axis: cell[axis] for axis in ("task", "teacher", "augmentation", "fraction")}
        options = {axis: str(value) for axis, value in chosen.items()}
        location = f"{place}/frac-{cell['fraction']:g}/{name}"
        made = Artefact("augment", location, recipe, AUGMENT_FILES, options, inputs, chosen)
        return self.augmented.setdefault(made.folder, made)
