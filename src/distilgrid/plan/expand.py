"""From parameters to a plan: every cell, every artefact, its path and its recipe key.

Paths are made here and in `grid_training.py`, and nowhere else. Light: 1,000 cells are planned in a second or two,
without torch or pandas.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from distilgrid.core.loading import load
from distilgrid.core.planned import BENCHMARK_FILES, EXPORT_FILES, KNOWN, REPORT_FILES, Artefact, Inputs, listed
from distilgrid.devices.files import device_recipe, load_device
from distilgrid.devices.settings import Device
from distilgrid.plan.features import plan_features
from distilgrid.plan.fitting import fitting_cells
from distilgrid.plan.params import Params
from distilgrid.plan.recipes import VERSIONS, benchmark_recipe, export_recipe
from distilgrid.plan.shelf import Shelf
from distilgrid.plan.teachers import teacher_names
from distilgrid.runtimes.registry import find_runtime

CLAIMS = "distilgrid.reporting.claims.file:load_claims"
"""Reads a claims file, by name: reports lie above plans."""


@dataclass(frozen=True)
class Plan:
    """All artefacts of a grid.

    Attributes:
        params: the grid's.
        devices: by name.
        helpers: models that are trained on the way to students: assistants, and candidates of searches.
        data, teachers, augmented, teacher_outputs, searches, supernets, students, exports, benchmarks, features,
            report: by stage.
    """

    params: Params
    devices: Mapping[str, Device]
    data: dict[str, Artefact]
    teachers: list[Artefact]
    augmented: list[Artefact]
    teacher_outputs: list[Artefact]
    helpers: list[Artefact]
    searches: list[Artefact]
    supernets: list[Artefact]
    students: list[Artefact]
    exports: list[Artefact]
    benchmarks: list[Artefact]
    features: list[Artefact]
    report: Artefact

    @cached_property
    def artefacts(self) -> dict[str, Artefact]:
        """Every artefact by its folder, in an order in which they can be made."""
        made = [*self.data.values(), *self.teachers, *self.augmented, *self.teacher_outputs]
        made += [*self.searches, *self.students]
        made += [*self.exports, *self.benchmarks, *self.features, self.report]
        ordered: dict[str, Artefact] = {}
        for artefact in made:
            _add(artefact, ordered)
        return ordered

    @property
    def known(self) -> list[str]:
        """The folders, under the results folder, of what its searches know of architectures."""
        made = (each for each in self.artefacts.values() if each.stage in ("search", "candidate"))
        return sorted({f"{each.location.rpartition('/')[0]}/{KNOWN}" for each in made})

    @property
    def tracking(self) -> str:
        """The folder, under the results folder, of the summary that says that this grid is in MLflow."""
        return f"tracking/{self.params.grid.name}-{self.report.key}"


def expand(params: Params) -> Plan:
    """The plan of a grid.

    Raises:
        UserError: for missing source files, libraries or model packages, or a method that does not fit its training.
    """
    shelf = Shelf(params)
    cells = fitting_cells(params, _cells(params))
    students = [shelf.student(cell) for cell in cells]
    for task, teacher in dict.fromkeys((cell["task"], name) for cell in cells for name in cell["teachers"]):
        shelf.searches.compared(task, teacher)
    teachers = list(shelf.teachers.values())
    exports = [e for model in [*teachers, *_exported(params, students)] for e in _exports(params, model)]
    devices = {name: load_device(name) for name in params.benchmark.devices}
    measured = list(product(devices, _largest(teachers)))
    benchmarks = [_benchmark(params, devices, name, teacher, students, exports) for name, teacher in measured]
    features = list(plan_features(params, _largest(teachers), students))
    augmented = list(shelf.augmented.values())
    inputs: Inputs = {"model": [*teachers, *students], "export": exports, "benchmark": benchmarks}
    searches = list(shelf.searches.searches.values())
    shown: Inputs = {"augmented": augmented, "features": features, "search": searches}
    return Plan(
        params,
        devices=devices,
        data=shelf.data,
        teachers=teachers,
        augmented=augmented,
        teacher_outputs=list(shelf.recordings.outputs.values()),
        helpers=list(shelf.helpers.values()),
        searches=searches,
        supernets=list(shelf.searches.supernets.values()),
        students=students,
        exports=exports,
        benchmarks=benchmarks,
        features=features,
        report=_report(params, inputs | {n: found for n, found in shown.items() if found}),
    )


def _add(artefact: Artefact, ordered: dict[str, Artefact]) -> None:
    """Put an artefact behind those that it is made from."""
    if artefact.folder not in ordered:
        for source in artefact.each_input():
            _add(source, ordered)
        ordered[artefact.folder] = artefact


def _cells(params: Params) -> Iterator[dict[str, Any]]:
    grid = params.grid
    names = ("task", "teacher", "method", "student", "augmentation", "fraction", "seed")
    axes = (
        grid.tasks,
        grid.teacher_labels,
        grid.methods,
        grid.students,
        grid.augmentations,
        grid.fractions,
        grid.seeds,
    )
    for values in product(*axes):
        cell: dict[str, Any] = dict(zip(names, values, strict=True))
        yield {**cell, "teachers": teacher_names(cell["teacher"])}


def _largest(teachers: list[Artefact]) -> list[Artefact]:
    """For each task and teacher, the one that saw most rows."""
    ordered = sorted(teachers, key=lambda teacher: -teacher.labels["fraction"])
    chosen = {(teacher.labels["task"], teacher.labels["teacher"]): teacher for teacher in reversed(ordered)}
    return [teacher for teacher in teachers if teacher in chosen.values()]


def _exported(params: Params, students: list[Artefact]) -> list[Artefact]:
    if params.export.seeds == "all":
        return students
    return [student for student in students if student.labels["seed"] == params.grid.seeds[0]]


def _exports(params: Params, model: Artefact) -> Iterator[Artefact]:
    data = model.inputs["data"]
    assert isinstance(data, Artefact)
    for runtime in params.benchmark.runtimes:
        if find_runtime(runtime).reference:
            continue  # the trained model itself, which all others are compared with
        recipe = export_recipe(runtime=runtime, settings=params.export, data=data.key, model=model.key)
        location = f"exports/{model.location}/{runtime}"
        inputs: Inputs = {"data": data, "model": model}
        labels = {**model.labels, "runtime": runtime}
        yield Artefact("export", location, recipe, EXPORT_FILES, {"runtime": runtime}, inputs, labels)


def _benchmark(
    params: Params,
    devices: Mapping[str, Device],
    device: str,
    teacher: Artefact,
    students: list[Artefact],
    exports: list[Artefact],
) -> Artefact:
    """One run per device, task and teacher: the teacher and one model of each student architecture, on every runtime.

    Latency depends on the architecture and the runtime, not on the trained values,
    so the methods and seeds of a student share the figures of its first cell.
    """
    names = ("task", "teacher")
    own = [student for student in students if _learns_from(student, teacher)]
    first: dict[str, Artefact] = {}
    for student in own:
        first.setdefault(student.labels["student"], student)
    models = [teacher, *first.values()]
    chosen = [e for e in exports if any(e.inputs["model"] is model for model in models)]
    data = teacher.inputs["data"] if params.benchmark.texts else None
    assert data is None or isinstance(data, Artefact)
    recipe = benchmark_recipe(
        settings=params.benchmark,
        device=device_recipe(devices[device]),
        models=[m.key for m in models],
        exports=[e.key for e in chosen],
        data=data.key if data else None,
    )
    location = f"benchmarks/{device}/{teacher.labels['task']}/{teacher.labels['teacher']}"
    inputs: Inputs = {"model": models, "export": chosen} | ({"data": data} if data else {})
    labels = {"device": device, **{name: teacher.labels[name] for name in names}}
    options = {name: str(value) for name, value in labels.items()}
    return Artefact("benchmark", location, recipe, BENCHMARK_FILES, options, inputs, labels)


def _learns_from(student: Artefact, teacher: Artefact) -> bool:
    """Whether a teacher is one of a student's, on its task."""
    same = student.labels["task"] == teacher.labels["task"]
    return same and teacher.labels["teacher"] in teacher_names(student.labels["teacher"])


def _report(params: Params, inputs: Inputs) -> Artefact:
    claims = load(CLAIMS)(params.report.claims, params=params) if params.report.claims else None
    recipe = {
        "stage": "report",
        "version": VERSIONS["report"],
        "grid": params.grid.model_dump(exclude=None if params.grid.searches else {"searches"}),
        "settings": params.report.model_dump(exclude={"claims", "features"}),
        "claims": claims.model_dump() if claims else None,
        "inputs": {name: [artefact.key for artefact in listed(value)] for name, value in inputs.items()},
    }
    return Artefact("report", f"reports/{params.grid.name}", recipe, REPORT_FILES, {}, inputs, {})
