"""The command `features`; light, as the rest of the command line."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid.cli import support
from distilgrid.cli.options import (
    PARAMS_DEFAULT,
    DataDir,
    Fraction,
    GridFiles,
    MethodName,
    Out,
    ParamsFiles,
    Task,
    TeacherGiven,
    TeacherName,
    Threads,
)


def features(
    task: Task,
    teacher: TeacherName,
    method: MethodName,
    data: DataDir,
    teacher_dir: TeacherGiven,
    out: Out,
    augmented: Annotated[
        list[Path] | None, typer.Option(help="Augmented rows of the data: a folder made by `augment`; repeatable.")
    ] = None,
    fraction: Fraction = 1.0,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Plot what a teacher makes of original, mixed and augmented rows: its features in two dimensions."""
    settings = support.load(params, grid)
    mixed, max_length = support.mixing(settings, method), support.teacher_length(settings, teacher)
    support.start(settings, threads=threads, torch=True)
    from distilgrid.plan.features_settings import Features
    from distilgrid.stages.features.run import features as stage

    counts = stage(
        data=data,
        teacher=teacher_dir,
        augmented=augmented or [],
        settings=settings.report.features or Features(),
        **mixed,
        max_length=max_length,
        fraction=fraction,
        subset_seed=settings.data.seed,
        out=out,
        labels={"task": task, "teacher": teacher, "method": method},
    )
    typer.echo(", ".join(f"{number} {kind}" for kind, number in counts.items()))
