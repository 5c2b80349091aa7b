"""The commands that deploy and measure: `export`, `benchmark`; light, as the rest of the command line."""

import os
from pathlib import Path
from typing import Annotated

import typer

from distilgrid import cli_support as support
from distilgrid.cli_options import (
    PARAMS_DEFAULT,
    DataDir,
    GridFiles,
    Out,
    ParamsFiles,
    Task,
    TeacherName,
    Threads,
)


def export(
    runtime: Annotated[str, typer.Option(help="One of `benchmark.runtimes` that models are converted for.")],
    data: DataDir,
    model: Annotated[Path, typer.Option(help="A trained model: a folder made by `finetune` or `distill`.")],
    out: Out,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Export a model to a runtime and check that it is still the same model."""
    settings = support.load(params, grid)
    count = support.start(settings, threads=threads, torch=True)
    from distilgrid.stages.export import export as stage

    tolerance = settings.export.tolerance
    parity = stage(data=data, model=model, runtime=runtime, tolerance=tolerance, out=out, threads=count)
    typer.echo("accepted" if parity["accepted"] else f"rejected: {parity['reason']}")


def benchmark(
    task: Task,
    teacher: TeacherName,
    model: Annotated[list[Path], typer.Option(help="Trained models, the teacher first.")],
    out: Out,
    export: Annotated[list[Path] | None, typer.Option(help="Exports of these models.")] = None,
    data: Annotated[Path | None, typer.Option(help="Prepared data, for `benchmark.texts`.")] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
) -> None:
    """Measure latency: all models and runtimes in turns within one process."""
    settings = support.load(params, grid)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")  # torch's own: training jobs keep fewer kernels
    support.start(settings, threads=max(settings.benchmark.threads), torch=True)
    from distilgrid.stages.benchmark import benchmark as stage

    labels = {"task": task, "teacher": teacher}
    stage(settings=settings.benchmark, models=model, exports=export or [], out=out, labels=labels, data=data)
