"""Stages as functions: what tests make with them, of settings given one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilgrid.devices.settings import load_device
from distilgrid.methods.teaching import Sources
from distilgrid.plan.expand import Plan
from distilgrid.search.conditions import measured
from distilgrid.stages.augment.declare import AugmentSettings
from distilgrid.stages.benchmark.declare import BenchmarkSettings
from distilgrid.stages.distill.declare import Course, DistillSettings
from distilgrid.stages.export.declare import ExportSettings
from distilgrid.stages.features.declare import FeaturesSettings
from distilgrid.stages.finetune.declare import FinetuneSettings
from distilgrid.stages.latency.declare import LatencySettings
from distilgrid.stages.prepare.declare import PrepareSettings
from distilgrid.stages.record.declare import RecordSettings
from distilgrid.stages.report.declare import ReportSettings
from distilgrid.stages.runner import make, planned_inputs
from distilgrid.stages.table import STAGES
from distilgrid.tasks.sources import Folders
from distilgrid.training.settings import Execution

DEFAULT, HUB = Execution(), Folders()
Labels = Mapping[str, Any]


def _folders(**given: Path | Sequence[Path] | None) -> dict[str, Sequence[Path]]:
    listed = {name.replace("_", "-"): [value] if isinstance(value, Path) else value for name, value in given.items()}
    return {name: folders for name, folders in listed.items() if folders}


def prepare(*, task: str, spec: Any, data: Any, out: Path, folders: Any = HUB) -> None:
    make(STAGES["prepare"], PrepareSettings(task, spec, data, folders), {}, out=out, options={"task": task})


def finetune(
    *,
    data: Path,
    source: str,
    training: Any,
    seed: int,
    out: Path,
    labels: Labels,
    fraction: float = 1.0,
    execution: Execution = DEFAULT,
) -> Any:
    settings = FinetuneSettings(source, training, seed, fraction)
    return make(STAGES["finetune"], settings, _folders(data=data), out=out, labels=labels, execution=execution)


def augment(
    *,
    data: Path,
    settings: Any,
    teacher: Path | None,
    max_length: int,
    fraction: float,
    out: Path,
    labels: Labels,
    pool: Any = None,
) -> Any:
    chosen = AugmentSettings(settings, pool, max_length, fraction)
    return make(STAGES["augment"], chosen, _folders(data=data, teacher_dir=teacher), out=out, labels=labels)


def record(
    *,
    signal: Any,
    data: Path,
    teacher: Path,
    max_length: int,
    out: Path,
    labels: Labels,
    augmented: Path | None = None,
    fraction: float = 1.0,
    execution: Execution = DEFAULT,
) -> None:
    settings = RecordSettings(signal, max_length, fraction)
    folders = _folders(data=data, teacher_dir=teacher, augmented=augmented)
    make(STAGES["record"], settings, folders, out=out, labels=labels, execution=execution)


@dataclass(frozen=True)
class Cell:
    method: Any
    student: Any
    origin: str
    training: Any
    augmentation: str
    fraction: float
    seed: int

    @property
    def settings(self) -> DistillSettings:
        course = Course(self.method, self.student, self.origin, self.training)
        return DistillSettings(course, self.augmentation, self.fraction, self.seed)


def distill(*, cell: Cell, sources: Sources, out: Path, labels: Labels, execution: Execution = DEFAULT) -> Any:
    folders = _folders(
        data=sources.data,
        augmented=sources.augmented,
        teacher_dir=sources.teachers,
        teacher_outputs=sources.teacher_outputs,
        mixed_outputs=sources.mixed_outputs,
        tried=sources.tried,
        search=sources.search,
        supernet=sources.supernet,
    )
    return make(STAGES["distill"], cell.settings, folders, out=out, labels=labels, execution=execution)


def export(*, data: Path, model: Path, runtime: str, settings: Any, out: Path, threads: int = 1) -> Any:
    folders = _folders(data=data, model=model)
    how: dict[str, Any] = {"options": {"runtime": runtime}, "threads": threads}
    return make(STAGES["export"], ExportSettings(runtime, settings), folders, out=out, **how)


def benchmark(
    *,
    settings: Any,
    device: str,
    models: Sequence[Path],
    exports: Sequence[Path],
    out: Path,
    labels: Labels,
    data: Path | None = None,
) -> Any:
    chosen = BenchmarkSettings(settings, device, load_device(device))
    return make(STAGES["benchmark"], chosen, _folders(model=models, export=exports, data=data), out=out, labels=labels)


def latency(
    *,
    space: Any,
    runtime: str,
    settings: Any,
    device: str,
    fitted: int,
    held_out: int,
    out: Path,
    fused: bool = True,
    seed: int = 0,
    vocabulary: int | None = None,
) -> Any:
    conditions = measured(settings, device, runtime, fused=fused)
    chosen = LatencySettings(space, conditions, settings, fitted, held_out, seed, vocabulary)
    return make(STAGES["latency"], chosen, {}, out=out)


def features(
    *,
    data: Path,
    teacher: Path,
    augmented: Sequence[Path],
    settings: Any,
    mixup: Any,
    training: Any,
    max_length: int,
    fraction: float,
    out: Path,
    labels: Labels,
) -> Any:
    chosen = FeaturesSettings(settings, mixup, training, max_length, fraction)
    folders = _folders(data=data, teacher_dir=teacher, augmented=augmented)
    return make(STAGES["features"], chosen, folders, out=out, labels=labels)


def report(*, plan: Plan, results: Path, out: Path) -> None:
    stage = STAGES["report"]
    settings: ReportSettings = stage.settings(plan.params, {})
    make(stage, settings, {}, out=out, **planned_inputs(stage, plan, results))
