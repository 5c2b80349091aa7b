"""The parameters of a grid: strict pydantic models, loading of `params.yaml` and its overlays, JSON Schema.

Light: importing this module loads neither torch nor transformers nor pandas.
"""

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, field_validator

from distilgrid.augmentation.registry import Augmentation
from distilgrid.benchmark.settings import Benchmark, Export
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.messages import first_problem
from distilgrid.core.project import read_yaml
from distilgrid.core.schema import Settings, deep_merge
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.registry import Method, presets, unknown_method
from distilgrid.plan.settings import Grid, GridStudent, Name, Report, Resources, Teacher, mixing_method
from distilgrid.plan.teachers import teacher_names
from distilgrid.search.settings import Search
from distilgrid.search.space import AnySpace, load_space
from distilgrid.tasks.settings import Data
from distilgrid.tasks.sources import Folders
from distilgrid.tasks.spec import TaskSpec, find_task
from distilgrid.training.settings import Training

Known = TypeVar("Known")
KINDS = {"teachers": "teacher", "students": "student", "searches": "search", "augmentations": "augmentation"}


class Params(Settings):
    """All parameters of a grid."""

    grid: Grid
    """The axes."""
    data: Data = Field(default_factory=Data)
    """Rows and splits."""
    tasks: dict[Name, TaskSpec] = Field(default_factory=dict)
    """Your own tasks, in addition to the built-in ones."""
    teachers: dict[Name, Teacher]
    """Teachers by name."""
    students: dict[Name, GridStudent]
    """Students by name."""
    methods: dict[Name, Method] = Field(default_factory=lambda: dict(presets()))
    """Methods by name, in addition to the presets. One objective may appear under several names."""
    searches: dict[Name, Search] = Field(default_factory=dict)
    """Searches of architectures by name: students take the shapes that they find."""
    augmentations: dict[Name, Augmentation] = Field(default_factory=dict)
    """Augmentations of the training rows by name."""
    training: Training = Field(default_factory=Training)
    """Training settings shared by all models of the grid."""
    export: Export = Field(default_factory=Export)
    """Exports and their parity gate."""
    benchmark: Benchmark = Field(default_factory=Benchmark)
    """Latency protocol."""
    report: Report = Field(default_factory=Report)
    """Comparison of results."""
    resources: Resources = Field(default_factory=Resources)
    """Threads and logs; not part of any result's recipe."""

    _remembered: dict[str, Any] = PrivateAttr(default_factory=dict)

    def remembered(self, key: str, make: Callable[[], Known]) -> Known:
        """A value that follows from these parameters alone, made once for all cells of a grid."""
        if key not in self._remembered:
            self._remembered[key] = make()
        found: Known = self._remembered[key]
        return found

    @field_validator("methods", mode="before")
    @classmethod
    def _with_presets(cls, methods: Any) -> Any:
        """All presets, with the given methods on top. One without an objective changes single values of a preset."""
        if not isinstance(methods, Mapping):
            return methods
        given_presets = {name: preset.model_dump() for name, preset in presets().items()}
        changes = {n: given for n, given in methods.items() if isinstance(given, Mapping) and "objective" not in given}
        merged = {name: deep_merge(given_presets.get(name, {}), changes[name]) for name in changes}
        return {**given_presets, **methods, **merged}

    @field_validator("augmentations")
    @classmethod
    def _none_is_taken(cls, augmentations: dict[str, Augmentation]) -> dict[str, Augmentation]:
        if "none" in augmentations:
            raise ValueError("'none' names the original rows; choose another name")
        return augmentations


def load_params(files: Sequence[Path | str]) -> Params:
    """Parameters from files, later ones on top. Raises UserError: one line naming the file and the key."""
    merged: dict[str, Any] = {}
    for path in files:
        merged = deep_merge(merged, read_yaml(path))
    return parse_params(merged, origin=" + ".join(str(path) for path in files))


def parse_params(values: Mapping[str, Any], *, origin: str) -> Params:
    """Validated parameters from plain values. Raises UserError: one line naming the `origin` and the key."""
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{origin}: {first_problem(error, json_schema())}") from None
    try:
        _check_names(params)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    return _with_baselines(params)


def _with_baselines(params: Params) -> Params:
    """The parameters with the baselines that the grid's methods are compared with."""
    grid, defined = params.grid, params.methods
    plain = {defined[name].objective for name in grid.baselines}
    if all(defined[name].objective in plain for name in grid.methods):
        return params
    added = [name for name in grid.baselines if name not in grid.methods and _suits(params, defined[name])]
    return params.model_copy(update={"grid": grid.model_copy(update={"methods": [*added, *grid.methods]})})


def _suits(params: Params, method: BaseMethod) -> bool:
    """Whether a method can join the grid as a baseline: it accepts a task with its teachers, and suits the students."""
    kinds = {find_task(name, params.tasks).kind for name in params.grid.tasks}
    counts = {len(teacher_names(label)) for label in params.grid.teacher_labels}
    accepted = any(method.accepts(kind, teachers=count) for kind in kinds for count in counts)
    return accepted and method.suits([params.students[name] for name in params.grid.students])


def _check_names(params: Params) -> None:
    grid, report = params.grid, params.report
    for axis, kind in KINDS.items():
        defined = [*getattr(params, axis), *(["none"] if axis == "augmentations" else [])]
        for name in grid.teacher_names if axis == "teachers" else getattr(grid, axis):
            if name not in defined:
                raise UserError(f"grid.{axis}: unknown {kind} '{name}'; {did_you_mean(name, defined)}")
    named = {"grid.methods": grid.methods, "grid.baselines": grid.baselines, "report.baseline": [report.baseline]}
    for place, names in named.items():
        for name in names:
            if name not in params.methods:
                raise UserError(f"{place}: {unknown_method(name, params.methods)}")
    for name in grid.tasks:
        find_task(name, params.tasks)
    if report.decide is not None and report.claims is None:
        raise UserError("report.decide: there are no claims to decide; name their file as report.claims")
    if report.features is not None:
        mixing_method(report.features, grid.methods, params.methods)


def effective_training(params: Params, *overrides: Mapping[str, Any]) -> Training:
    """The `training` section with the values of a teacher, or of a method and then a student, on top."""
    return params.remembered(f"training {overrides!r}", lambda: params.training.under(*overrides))


def known_space(params: Params, file: str) -> AnySpace:
    """A search space, listed once for all searches in it. Raises UserError when the file cannot be read."""
    return params.remembered(f"space {file}", lambda: load_space(file))


def find_method(params: Params, name: str) -> BaseMethod:
    """A method by its name, or by the one that a tuning gives it. Raises UserError with a suggestion for others."""
    before = [method.before({"method": own}, tempered=True) for own, method in params.methods.items()]
    known = {**{tried: method for each in before for tried, method in each.tried.items()}, **params.methods}
    if name not in known:
        raise UserError(f"--method: {unknown_method(name, params.methods)}")
    return known[name]


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of the parameters; a test keeps `params.schema.json` of the workflow equal to it."""
    schema = Params.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def schema_text() -> str:
    """The schema file's exact text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def data_folders(params: Params) -> Folders:
    """The local folders of published data, from `data.*_dir` or DISTILGRID_*_DIR; None stands for the hub.

    Raises UserError when a folder does not exist.
    """
    return Folders(
        glue=_data_folder("glue_dir", params.data.glue_dir), cifar=_data_folder("cifar_dir", params.data.cifar_dir)
    )


def _data_folder(key: str, setting: str | None) -> Path | None:
    variable = f"DISTILGRID_{key.upper()}"
    chosen = setting or os.environ.get(variable)
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        raise UserError(f"data.{key} / {variable}: no folder '{folder}'; correct or unset it")
    return folder
