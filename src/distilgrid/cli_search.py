"""The commands of architecture search: `latency`, `supernet`, `search`; light, as the rest of the command line."""

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
    TeacherDir,
    TeacherGiven,
    TeacherName,
    Threads,
)
from distilgrid.errors import UserError

SearchName = Annotated[str, typer.Option("--search", help="Name under `searches` in the parameters.")]
OUTPUTS = typer.Option("--teacher-outputs", help="A folder made by `record`, of the kind that the estimator needs.")


def latency(
    space: Annotated[Path, typer.Option(help="A search space: grids/spaces/minilm.yaml.")],
    runtime: Annotated[str, typer.Option(help="One of `benchmark.runtimes`.")],
    out: Out,
    architectures: Annotated[int, typer.Option(help="Shapes that the predictor is fitted to.", min=8)] = 120,
    held_out: Annotated[int, typer.Option(help="Further shapes that judge it.", min=2)] = 40,
    unfused: Annotated[bool, typer.Option("--unfused", help="Leave the graph as it was exported.")] = False,
    device: Annotated[str, typer.Option(help="Name of a file in the folder `devices`.")] = "local-cpu",
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
) -> None:
    """Measure random shapes of a search space, and fit a latency predictor to them."""
    settings = support.load(params, grid)
    support.start(settings, threads=1, torch=True)
    from distilgrid.search.space import load_space
    from distilgrid.stages.latency import latency as stage

    quality = stage(
        space=load_space(space),
        runtime=runtime,
        settings=settings.benchmark,
        device=device,
        fitted=architectures,
        held_out=held_out,
        out=out,
        fused=not unfused,
    )
    typer.echo(
        f"{quality['rows']} held-out shapes: median error {100 * quality['median_error']:.1f} %, nine in ten within "
        f"{100 * quality['p90_error']:.1f} %, Kendall's tau {quality['kendall_tau']:.3f}"
    )


def supernet(
    task: Task,
    teacher: TeacherName,
    search: SearchName,
    data: DataDir,
    teacher_dir: TeacherGiven,
    teacher_outputs: Annotated[Path, OUTPUTS],
    out: Out,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Train one model that holds every architecture of a search's space."""
    settings = support.load(params, grid)
    chosen = support.named(settings.searches, search, kind="search")
    if chosen.estimator.kind != "supernet":
        raise UserError(f"--search: the estimator of '{search}' is {chosen.estimator.kind}, and needs no supernet")
    origin = support.named(settings.teachers, teacher, kind="teacher").source
    support.start(settings, threads=threads, torch=True)
    from distilgrid.search.space import load_space
    from distilgrid.stages.supernet import supernet as stage

    stage(
        settings=chosen.estimator,
        training=settings.training,
        space=load_space(chosen.space),
        origin=origin,
        data=data,
        teacher=teacher_dir,
        teacher_outputs=teacher_outputs,
        subset_seed=settings.data.seed,
        out=out,
        labels={"task": task, "teacher": teacher},
        execution=support.execution(settings, trace=None),
    )


def search(
    task: Task,
    teacher: TeacherName,
    search: SearchName,
    data: DataDir,
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the controller.")] = 0,
    teacher_outputs: Annotated[list[Path] | None, OUTPUTS] = None,
    teacher_dir: TeacherDir = None,
    supernet: Annotated[Path | None, typer.Option(help="A folder made by `supernet`, for such an estimator.")] = None,
    latency: Annotated[
        Path | None, typer.Option(help="A folder made by `latency`, for latencies that are predicted.")
    ] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Search for architectures of students; a search that was killed goes on with the same command."""
    settings = support.load(params, grid)
    chosen = support.named(settings.searches, search, kind="search")
    origin = support.named(settings.teachers, teacher, kind="teacher").source
    support.start(settings, threads=threads, torch=True)
    from distilgrid.search.space import load_space
    from distilgrid.stages.search import Sources, run_search

    found = run_search(
        settings=chosen,
        space=load_space(chosen.space),
        benchmark=settings.benchmark,
        origin=origin,
        seed=seed,
        training=settings.training,
        sources=Sources(data, tuple(teacher_outputs or ()), teacher_dir, supernet, latency),
        out=out,
        labels={"task": task, "teacher": teacher, "search": search, "seed": seed},
        subset_seed=settings.data.seed,
        device=settings.resources.device,
    )
    for one in found:
        typer.echo(f"{one['rank']}. {one['name']}: reward {one['reward']:.4f}, {one['latency_ms']:.2f} ms")
