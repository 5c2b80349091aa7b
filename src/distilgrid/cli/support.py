"""What the commands of the CLI share: loading parameters, naming a cell, starting a job."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from distilgrid.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from distilgrid.plan.expand import Plan
    from distilgrid.plan.params import Params
    from distilgrid.signals.base import Signal
    from distilgrid.training.execution import Execution

Named = TypeVar("Named")


def load(params: list[Path], grid: list[Path] | None) -> "Params":
    """Parameters from the base files with overlays on top."""
    from distilgrid.plan.params import load_params

    return load_params([*params, *(grid or [])])


def load_plan(params: list[Path], grid: list[Path] | None) -> "tuple[Params, Plan]":
    """Parameters and the plan of their grid."""
    from distilgrid.plan.expand import expand

    settings = load(params, grid)
    return settings, expand(settings)


def named(defined: Mapping[str, Named], name: str, *, kind: str) -> Named:
    """A definition of the parameters by its name.

    Raises:
        UserError: when nothing has that name, with a suggestion.
    """
    if name not in defined:
        raise UserError(f"--{kind}: unknown {kind} '{name}'; {did_you_mean(name, defined)}")
    return defined[name]


def cell(settings: "Params", names: Mapping[str, Any]) -> dict[str, Any]:
    """The settings behind a cell's names, as the fields of `stages.distill.Cell`."""
    from distilgrid.plan.params import effective_training, find_method
    from distilgrid.plan.shelf import origin_source
    from distilgrid.plan.teachers import teacher_names

    for teacher in teacher_names(names["teacher"]):
        named(settings.teachers, teacher, kind="teacher")
    method = find_method(settings, names["method"])
    student = named(settings.students, names["student"], kind="student")
    return {
        "method": method,
        "student": student,
        "origin": origin_source(settings, student, names["teacher"]),
        "training": effective_training(settings, method.training, student.training),
        "augmentation": names["augmentation"],
        "fraction": names["fraction"],
        "seed": names["seed"],
        "subset_seed": settings.data.seed,
    }


def teacher_length(settings: "Params", teacher: str) -> int:
    """The longest input of a teacher, in tokens."""
    from distilgrid.plan.params import effective_training

    return effective_training(settings, named(settings.teachers, teacher, kind="teacher").training).max_length


def signal(settings: "Params", kind: str, *, task: str, method: str, student: str | None) -> "Signal":
    """What a teacher is asked for: a kind that any method can take, or one that a method describes.

    Raises:
        UserError: for unknown names, or a method that wants no such outputs.
    """
    from distilgrid.plan.params import effective_training, find_method
    from distilgrid.signals.registry import ROWS, find_signal
    from distilgrid.tasks.spec import find_task

    if kind in ROWS:
        return ROWS[kind]
    chosen = find_method(settings, method)
    own = named(settings.students, student, kind="student").training if student else {}
    taught = chosen.taught(effective_training(settings, chosen.training, own))
    viewed = find_task(task, settings.tasks).task_kind.viewed
    seen = [signal.seen(viewed=viewed, taught=taught) for signal in chosen.signals()]
    return find_signal(kind, seen, method=method)


def mixing(settings: "Params", method: str) -> dict[str, Any]:
    """How a method mixes rows, and in which batches, as arguments of the stage.

    Raises:
        UserError: for a method that mixes none.
    """
    from distilgrid.plan.params import effective_training, find_method

    chosen = find_method(settings, method)
    if chosen.mixing is None:
        raise UserError(f"--method: '{method}' mixes no samples; name one whose objective is mixkd")
    return {"mixup": chosen.mixing, "training": effective_training(settings, chosen.training)}


def start(settings: "Params", *, threads: int | None, torch: bool) -> int:
    """Set up this process as a job, with GPUs of its own where there are any; returns its number of threads."""
    from distilgrid.core.artefacts import RANK
    from distilgrid.core.gpus import take_gpus
    from distilgrid.jobs.process import start_job, start_torch_job

    resources = settings.resources
    if torch and resources.device != "cpu" and RANK not in os.environ:  # helpers share those of their job
        take_gpus(count=resources.processes, cells_per_gpu=resources.cells_per_gpu)
    whole = threads or settings.resources.threads
    count = max(1, whole // resources.processes) if torch else whole
    begin = start_torch_job if torch else start_job
    begin(threads=count, log_level=resources.log_level)
    return count


def execution(settings: "Params", *, trace: Path | None) -> "Execution":
    """How a training job of these parameters runs."""
    from distilgrid.training.execution import Execution

    resources = settings.resources
    return Execution(
        device=resources.device,
        processes=resources.processes,
        checkpoint_seconds=resources.checkpoint_seconds,
        deterministic=resources.deterministic,
        profile=trace,
    )


def say_score(metrics: Mapping[str, Any]) -> None:
    """Print a model's main score; a helping process of a data-parallel job has none."""
    if metrics:
        typer.echo(f"{metrics['score_name']} on {metrics['split']}: {metrics['score']:.4f}")
