"""From parameters to a plan: every cell, every artefact, its path and its recipe key.

Paths are made here and nowhere else. Light: 1,000 cells are planned in a second or two, without torch or pandas.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distilgrid.distillation.registry import METHODS
from distilgrid.fingerprint import recipe_key
from distilgrid.models.settings import Student
from distilgrid.models.source import model_revision
from distilgrid.params import Params, glue_dir
from distilgrid.recipes import (
    VERSIONS,
    benchmark_recipe,
    distill_recipe,
    export_recipe,
    finetune_recipe,
    prepare_recipe,
    record_recipe,
)
from distilgrid.tasks.sources import source_revision
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Training

MODEL_FILES = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "metrics.json",
    "history.parquet",
    "predictions.parquet",
    "run.json",
)
# Validation splits differ by task; `run.json` lists them too, so they are verified on use.
DATA_FILES = ("train.parquet", "dev.parquet", "dataset.json", "run.json")
RECORD_FILES = ("train.safetensors", "manifest.json", "run.json")
EXPORT_FILES = ("model.onnx", "tokenizer.json", "parity.json", "run.json")
BENCHMARK_FILES = ("benchmark.json", "run.json")
REPORT_FILES = ("report.html", "table.md", "table.csv", "table.tex", "metrics.json", "curves.csv", "run.json")


@dataclass(frozen=True)
class Artefact:
    """A folder of files that one stage makes.

    Attributes:
        stage: the command that makes it.
        location: its folder under the results folder, without the key.
        recipe: everything that decides its content, as plain values.
        options: the command's options that select what is made, by name.
        inputs: the artefacts it reads, by the command's option.
        files: the names of its files; `run.json`, or the manifest, is written last.
        labels: task, teacher, method, ... as far as they apply, for tables.
    """

    stage: str
    location: str
    recipe: Mapping[str, Any]
    files: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    inputs: "Mapping[str, Artefact | list[Artefact]]" = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The recipe key: 12 hex digits."""
        return recipe_key(self.recipe)

    @cached_property
    def folder(self) -> str:
        """Its folder under the results folder."""
        return f"{self.location}-{self.key}"

    def each_input(self) -> "Iterator[Artefact]":
        """The artefacts it reads, one by one."""
        for value in self.inputs.values():
            yield from _listed(value)

    def arguments(self, results: str) -> str:
        """The command's options as shell text: what is made, from what, and where it goes."""
        words: list[str] = []
        for option, value in self.options.items():
            words += [f"--{option}", value]
        if self.stage != "report":  # a report finds the artefacts of its grid by itself
            for option, source in self.inputs.items():
                for artefact in _listed(source):
                    words += [f"--{option}", f"{results}/{artefact.folder}"]
        return shlex.join([*words, "--out", f"{results}/{self.folder}"])


def _listed(source: "Artefact | list[Artefact]") -> "list[Artefact]":
    return source if isinstance(source, list) else [source]


@dataclass(frozen=True)
class Plan:
    """All artefacts of a grid, in an order in which they can be made."""

    params: Params
    data: dict[str, Artefact]
    teachers: list[Artefact]
    teacher_outputs: list[Artefact]
    students: list[Artefact]
    exports: list[Artefact]
    benchmarks: list[Artefact]
    report: Artefact

    @cached_property
    def artefacts(self) -> dict[str, Artefact]:
        """Every artefact by its folder."""
        listed = [*self.data.values(), *self.teachers, *self.teacher_outputs, *self.students]
        listed += [*self.exports, *self.benchmarks, self.report]
        return {artefact.folder: artefact for artefact in listed}

    @property
    def tracking(self) -> str:
        """The folder, under the results folder, of the summary that says that this grid is in MLflow."""
        return f"tracking/{self.params.grid.name}-{self.report.key}"


def effective_training(params: Params, overrides: Mapping[str, Any]) -> Training:
    """The `training` section with a teacher's or method's own values on top."""
    return Training(**{**params.training.model_dump(), **overrides})


def expand(params: Params) -> Plan:
    """The plan of a grid.

    Raises:
        UserError: for missing source files, libraries or model packages.
    """
    data = {task: _data(params, task) for task in params.grid.tasks}
    teachers: dict[tuple[str, str], Artefact] = {}
    outputs: dict[str, Artefact] = {}
    students: list[Artefact] = []
    for task in params.grid.tasks:
        for name in params.grid.teachers:
            teachers[task, name] = _teacher(params, task, name, data[task])
            for cell in _cells(params, task, name):
                students.append(_student(params, cell, data[task], teachers[task, name], outputs))
    exports = [e for model in [*teachers.values(), *_exported(params, students)] for e in _exports(params, model)]
    benchmarks = [_benchmark(params, teacher, students, exports) for teacher in teachers.values()]
    report = _report(params, [*teachers.values(), *students], exports, benchmarks)
    return Plan(params, data, list(teachers.values()), list(outputs.values()), students, exports, benchmarks, report)


def _data(params: Params, task: str) -> Artefact:
    spec = find_task(task, params.tasks)
    recipe = prepare_recipe(spec=spec, revision=source_revision(spec, glue_dir(params)), data=params.data)
    return Artefact("prepare", f"data/{task}/{task}", recipe, DATA_FILES, {"task": task}, {}, {"task": task})


def _teacher(params: Params, task: str, name: str, data: Artefact) -> Artefact:
    teacher = params.teachers[name]
    training = effective_training(params, teacher.training)
    recipe = finetune_recipe(model=model_revision(teacher.source), training=training, seed=teacher.seed, data=data.key)
    labels = teacher_labels(task, name, teacher.seed)
    location = f"teachers/{task}/{name}/seed-{teacher.seed}"
    options = {"task": task, "teacher": name}
    return Artefact("finetune", location, recipe, MODEL_FILES, options, {"data": data}, labels)


def teacher_labels(task: str, name: str, seed: int) -> dict[str, Any]:
    """What tables say about a fine-tuned teacher."""
    return {"task": task, "teacher": name, "method": "teacher", "student": name, "seed": seed}


def _cells(params: Params, task: str, teacher: str) -> Iterator[dict[str, Any]]:
    grid = params.grid
    for method in grid.methods:
        for student in grid.students:
            for augmentation in grid.augmentations:
                for fraction in grid.fractions:
                    for seed in grid.seeds:
                        yield {
                            "task": task,
                            "teacher": teacher,
                            "method": method,
                            "student": student,
                            "augmentation": augmentation,
                            "fraction": fraction,
                            "seed": seed,
                        }


def _student(
    params: Params, cell: dict[str, Any], data: Artefact, teacher: Artefact, outputs: dict[str, Artefact]
) -> Artefact:
    method, student = params.methods[cell["method"]], params.students[cell["student"]]
    entry = METHODS[method.objective]
    inputs: dict[str, Artefact | list[Artefact]] = {"data": data}
    if student.init == "finetuned":
        inputs["teacher-dir"] = teacher
    if entry.teacher_outputs:
        recorded = _teacher_outputs(params, entry.teacher_outputs, data, teacher)
        inputs["teacher-outputs"] = outputs.setdefault(recorded.folder, recorded)
    recipe = distill_recipe(
        method=method,
        student=student,
        origin=model_revision(origin_source(params, student, cell["teacher"])),
        training=effective_training(params, method.training),
        augmentation=cell["augmentation"],
        fraction=cell["fraction"],
        seed=cell["seed"],
        inputs={name: artefact.key for name, artefact in inputs.items() if isinstance(artefact, Artefact)},
    )
    location = "students/{task}/{teacher}/{method}/{student}/{augmentation}/frac-{fraction:g}/seed-{seed}"
    options = {name: str(value) for name, value in cell.items()}
    return Artefact("distill", location.format(**cell), recipe, MODEL_FILES, options, inputs, cell)


def origin_source(params: Params, student: Student, teacher: str) -> str:
    """The source of the model that a student starts from: its own, or the teacher's pretrained one."""
    return student.source or params.teachers[teacher].source


def _teacher_outputs(params: Params, kind: str, data: Artefact, teacher: Artefact) -> Artefact:
    name = teacher.labels["teacher"]
    training = effective_training(params, params.teachers[name].training)
    recipe = record_recipe(kind=kind, max_length=training.max_length, data=data.key, teacher=teacher.key)
    location = f"teacher-outputs/{teacher.labels['task']}/{name}/{kind}-seed-{teacher.labels['seed']}"
    options = {"task": str(teacher.labels["task"]), "teacher": name, "kind": kind}
    labels = {**teacher.labels, "method": "record", "kind": kind}
    return Artefact("record", location, recipe, RECORD_FILES, options, {"data": data, "teacher-dir": teacher}, labels)


def _exported(params: Params, students: list[Artefact]) -> list[Artefact]:
    if params.export.seeds == "all":
        return students
    return [student for student in students if student.labels["seed"] == params.grid.seeds[0]]


def _exports(params: Params, model: Artefact) -> Iterator[Artefact]:
    data = model.inputs["data"]
    assert isinstance(data, Artefact)
    for runtime in params.benchmark.runtimes:
        if runtime.startswith("torch-"):
            continue  # torch runs the trained model itself: there is nothing to export
        recipe = export_recipe(runtime=runtime, tolerance=params.export.tolerance, data=data.key, model=model.key)
        location = f"exports/{model.location}/{runtime}"
        inputs: dict[str, Artefact | list[Artefact]] = {"data": data, "model": model}
        labels = {**model.labels, "runtime": runtime}
        yield Artefact("export", location, recipe, EXPORT_FILES, {"runtime": runtime}, inputs, labels)


def _benchmark(params: Params, teacher: Artefact, students: list[Artefact], exports: list[Artefact]) -> Artefact:
    """One run per task and teacher: the teacher and one model of each student architecture, on every runtime.

    Latency depends on the architecture and the runtime, not on the trained values,
    so the methods and seeds of a student share the figures of its first cell.
    """
    names = ("task", "teacher")
    own = [s for s in students if all(s.labels[n] == teacher.labels[n] for n in names)]
    first: dict[str, Artefact] = {}
    for student in own:
        first.setdefault(student.labels["student"], student)
    models = [teacher, *first.values()]
    chosen = [e for e in exports if any(e.inputs["model"] is model for model in models)]
    recipe = benchmark_recipe(
        settings=params.benchmark, models=[m.key for m in models], exports=[e.key for e in chosen]
    )
    location = f"benchmarks/{params.benchmark.device}/{teacher.labels['task']}/{teacher.labels['teacher']}"
    inputs: dict[str, Artefact | list[Artefact]] = {"model": models, "export": chosen}
    labels = {name: teacher.labels[name] for name in names}
    options = {name: str(value) for name, value in labels.items()}
    return Artefact("benchmark", location, recipe, BENCHMARK_FILES, options, inputs, labels)


def _report(params: Params, models: list[Artefact], exports: list[Artefact], benchmarks: list[Artefact]) -> Artefact:
    inputs: dict[str, Artefact | list[Artefact]] = {"model": models, "export": exports, "benchmark": benchmarks}
    recipe = {
        "stage": "report",
        "version": VERSIONS["report"],
        "grid": params.grid.model_dump(),
        "settings": params.report.model_dump(),
        "inputs": {name: [artefact.key for artefact in _listed(value)] for name, value in inputs.items()},
    }
    return Artefact("report", f"reports/{params.grid.name}", recipe, REPORT_FILES, {}, inputs, {})
