"""The part of a plan that trains: data, teachers, augmented rows, teacher outputs and students, each planned once."""

from collections.abc import Mapping
from typing import Any

from distilgrid.distillation.mixing_settings import check_batches
from distilgrid.distillation.settings import Method, MixKD, Recording
from distilgrid.models.settings import Student
from distilgrid.models.source import model_revision
from distilgrid.params import Params, glue_dir
from distilgrid.planned import AUGMENT_FILES, DATA_FILES, MODEL_FILES, RECORD_FILES, Artefact, Inputs, listed
from distilgrid.recipes import (
    augment_recipe,
    distill_recipe,
    finetune_recipe,
    mixed_recipe,
    prepare_recipe,
    record_recipe,
)
from distilgrid.tasks.sources import source_revision
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Training

STUDENT = "students/{task}/{teacher}/{method}/{student}/{augmentation}/frac-{fraction:g}/seed-{seed}"


def effective_training(params: Params, overrides: Mapping[str, Any]) -> Training:
    """The `training` section with a teacher's or method's own values on top."""
    return Training(**{**params.training.model_dump(), **overrides})


def teacher_labels(task: str, name: str, seed: int, fraction: float = 1.0) -> dict[str, Any]:
    """What tables say about a fine-tuned teacher."""
    return {"task": task, "teacher": name, "method": "teacher", "student": name, "seed": seed, "fraction": fraction}


def origin_source(params: Params, student: Student, teacher: str) -> str:
    """The source of the model that a student starts from: its own, or the teacher's pretrained one."""
    return student.source or params.teachers[teacher].source


class Shelf:
    """Plans students, and before them what they are made from."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.data: dict[str, Artefact] = {}
        self.teachers: dict[tuple[str, str, float], Artefact] = {}
        self.augmented: dict[str, Artefact] = {}
        self.outputs: dict[str, Artefact] = {}

    def student(self, cell: dict[str, Any]) -> Artefact:
        """A cell: its task, teacher, method, student, augmentation, fraction and seed."""
        method, student = self.params.methods[cell["method"]], self.params.students[cell["student"]]
        training = effective_training(self.params, method.training)
        if isinstance(method, MixKD):
            check_batches(training)
        inputs: Inputs = {"data": self._data(cell["task"])}
        teacher, augmented = self._teacher(cell), self._augmented(cell)
        if augmented is not None:
            inputs["augmented"] = augmented
        if student.init == "finetuned" or method.runs_teacher:
            inputs["teacher-dir"] = teacher
        if not method.runs_teacher:
            inputs |= self._recordings(cell, method, training)
        recipe = distill_recipe(
            method=method,
            student=student,
            origin=model_revision(origin_source(self.params, student, cell["teacher"])),
            training=training,
            augmentation=cell["augmentation"],
            fraction=cell["fraction"],
            seed=cell["seed"],
            inputs=_keys(inputs),
        )
        options = {name: str(value) for name, value in cell.items()}
        return Artefact("distill", STUDENT.format(**cell), recipe, MODEL_FILES, options, inputs, cell)

    def _data(self, task: str) -> Artefact:
        if task not in self.data:
            spec = find_task(task, self.params.tasks)
            revision = source_revision(spec, glue_dir(self.params))
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
        if settings.rewrites_with_teacher or settings.labels == "teacher":
            inputs["teacher-dir"] = self._teacher(cell)
            place += f"/{cell['teacher']}"
        recipe = augment_recipe(
            settings=settings,
            models=[model_revision(source) for source in settings.sources],
            fraction=cell["fraction"],
            inputs=_keys(inputs),
        )
        chosen = {axis: cell[axis] for axis in ("task", "teacher", "augmentation", "fraction")}
        options = {axis: str(value) for axis, value in chosen.items()}
        location = f"{place}/frac-{cell['fraction']:g}/{name}"
        made = Artefact("augment", location, recipe, AUGMENT_FILES, options, inputs, chosen)
        return self.augmented.setdefault(made.folder, made)

    def _recordings(self, cell: Mapping[str, Any], method: Method, training: Training) -> Inputs:
        """What a method's teacher left behind, by the command's option."""
        inputs: Inputs = {}
        for kind in method.recordings:
            if kind == "mixed-logits":
                assert isinstance(method, MixKD)
                inputs["mixed-outputs"] = self._mixed(cell, method, training)
            else:
                augmented = self._augmented(cell)
                parts = [None, augmented] if augmented else [None]
                inputs["teacher-outputs"] = [self._recorded(cell, kind, part) for part in parts]
        return inputs

    def _recorded(self, cell: Mapping[str, Any], kind: Recording, augmented: Artefact | None) -> Artefact:
        """Outputs on the prepared rows that any student of the grid sees, or on augmented ones."""
        data, teacher = self._data(cell["task"]), self._teacher(cell)
        inputs: Inputs = {"data": data, "teacher-dir": teacher}
        place: str = kind
        rows, share = data, 1.0
        if augmented is not None:
            inputs["augmented"] = rows = augmented
            place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/{kind}"
        elif (share := self._recorded_share(cell)) < 1:
            place = f"frac-{share:g}/{kind}"
        length = self._teacher_training(cell).max_length
        recipe = record_recipe(kind=kind, max_length=length, data=rows.key, teacher=teacher.key, fraction=share)
        return self._output(cell, kind, place, recipe, {"fraction": str(share)} if share < 1 else {}, inputs)

    def _recorded_share(self, cell: Mapping[str, Any]) -> float:
        """The largest that a student sees, of which smaller ones are parts; a teacher of a share records its own."""
        own = self.params.teachers[cell["teacher"]].rows == "students"
        return float(cell["fraction"] if own else max(self.params.grid.fractions))

    def _mixed(self, cell: Mapping[str, Any], method: MixKD, training: Training) -> Artefact:
        inputs: Inputs = {"data": self._data(cell["task"]), "teacher-dir": self._teacher(cell)}
        augmented = self._augmented(cell)
        if augmented is not None:
            inputs["augmented"] = augmented
        recipe = mixed_recipe(
            mixup=method.mixup,
            training=training,
            max_length=self._teacher_training(cell).max_length,
            fraction=cell["fraction"],
            inputs=_keys(inputs),
        )
        place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/mixed"
        options = {axis: str(cell[axis]) for axis in ("method", "fraction")}
        return self._output(cell, "mixed-logits", place, recipe, options, inputs)

    def _output(
        self,
        cell: Mapping[str, Any],
        kind: Recording,
        place: str,
        recipe: Mapping[str, Any],
        options: Mapping[str, str],
        inputs: Inputs,
    ) -> Artefact:
        teacher = self._teacher(cell)
        seed = teacher.labels["seed"]
        location = f"teacher-outputs/{cell['task']}/{cell['teacher']}/{place}-seed-{seed}"
        options = {"task": cell["task"], "teacher": cell["teacher"], "kind": kind, **options}
        labels = {**teacher.labels, "method": "record", "kind": kind}
        made = Artefact("record", location, recipe, RECORD_FILES, options, inputs, labels)
        return self.outputs.setdefault(made.folder, made)

    def _teacher_training(self, cell: Mapping[str, Any]) -> Training:
        return effective_training(self.params, self.params.teachers[cell["teacher"]].training)


def _keys(inputs: Inputs) -> dict[str, Any]:
    """The keys of inputs, by option."""
    keys = {name: [artefact.key for artefact in listed(source)] for name, source in inputs.items()}
    return {name: found[0] if len(found) == 1 else found for name, found in keys.items()}
