"""The commands that deploy and measure: `export`, `benchmark`, `choose`; light, as the rest of the command line."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from distilgrid.cli import support
from distilgrid.cli.options import (
    PARAMS_DEFAULT,
    RESULTS_DEFAULT,
    DataDir,
    GridFiles,
    Out,
    ParamsFiles,
    Results,
    Task,
    TeacherName,
    Threads,
)


def export(
    runtime: Annotated[str, typer.Option(help="One of `benchmark.runtimes`.")],
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
    from distilgrid.stages.export.run import export as stage

    parity = stage(data=data, model=model, runtime=runtime, settings=settings.export, out=out, threads=count)
    typer.echo("accepted" if parity["accepted"] else f"rejected: {parity['reason']}")


def benchmark(
    device: Annotated[str, typer.Option(help="Name of a file in the folder `devices`: local-cpu.")],
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
    from distilgrid.devices.files import load_device
    from distilgrid.devices.settings import most_threads

    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")  # torch's own: training jobs keep fewer kernels
    support.start(settings, threads=most_threads(load_device(device)), torch=True)
    from distilgrid.stages.benchmark.run import benchmark as stage

    stage(
        settings=settings.benchmark,
        device=device,
        models=model,
        exports=export or [],
        out=out,
        labels={"device": device, "task": task, "teacher": teacher},
        data=data,
    )


def choose(
    max_latency: Annotated[str, typer.Option(help="The most time for one input: 10ms, 0.5s, 800us.")],
    max_loss: Annotated[float, typer.Option(help="The most points of score (x 100) below the student's own teacher.")],
    task: Annotated[str | None, typer.Option(help="Name of the task; needed where the grid has several.")] = None,
    device: Annotated[str | None, typer.Option(help="One of `benchmark.devices`; the first one unless given.")] = None,
    at: Annotated[
        str | None, typer.Option(help="What was measured: a length in tokens, `texts` or `text-to-label`.")
    ] = None,
    percentile: Annotated[Literal["p50", "p90", "p95", "p99"], typer.Option(help="Which latency must be low.")] = "p50",
    threads: Annotated[int, typer.Option(help="Threads of one call.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: under results/deployed.")] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
) -> None:
    """The smallest model that is fast and good enough, as a folder that can be deployed."""
    _, plan = support.load_plan(params, grid)
    from distilgrid.deployment.choice import Limits
    from distilgrid.deployment.command import choose_model, parse_latency
    from distilgrid.deployment.folder import write_folder
    from distilgrid.deployment.measured import Where

    limits, where = (
        Limits(parse_latency(max_latency), max_loss / 100),
        Where(device or plan.params.benchmark.devices[0], at, threads, percentile),
    )
    choice, collected = choose_model(plan=plan, results=results, task=task, limits=limits, where=where)
    typer.echo(choice.winner.name if choice.winner else "no model keeps to both limits")
    for reason in choice.reasons:
        typer.echo(f"  {reason}")
    if choice.winner is None:
        raise typer.Exit(1)
    typer.echo(f"  ready to deploy: {write_folder(choice.winner, collected, results=results, out=out)}")
