"""The commands of architecture search: `latency`, `supernet`, `candidate`, `search`; light, as all of the CLI."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distilgrid.cli import support
from distilgrid.cli.options import (
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
from distilgrid.core.errors import UserError
from distilgrid.core.planned import KNOWN

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.stages.search.searching import Searching

SearchName = Annotated[str, typer.Option("--search", help="Name under `searches` in the parameters.")]
OUTPUTS = typer.Option("--teacher-outputs", help="A folder made by `record`, of the kind that the estimator needs.")
OutputsGiven = Annotated[list[Path] | None, OUTPUTS]
ControllerSeed = Annotated[int, typer.Option("--seed", help="Seed of the controller.")]
SupernetDir = Annotated[
    Path | None, typer.Option("--supernet", help="A folder made by `supernet`, for such an estimator.")
]
LatencyDir = Annotated[
    Path | None, typer.Option("--latency", help="A folder made by `latency`, for latencies that are predicted.")
]
SourceFolders = tuple[Path, tuple[Path, ...], Path | None, Path | None, Path | None]
"""The folders of `stages.searching.Sources`, in its order."""
AFTER = typer.Option("--after", help="Each candidate of the episode before: folders made by `candidate`.")


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
    from distilgrid.stages.latency.run import latency as stage

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
    from distilgrid.stages.supernet.run import supernet as stage

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
    seed: ControllerSeed = 0,
    teacher_outputs: OutputsGiven = None,
    teacher_dir: TeacherDir = None,
    supernet: SupernetDir = None,
    latency: LatencyDir = None,
    after: Annotated[list[Path] | None, AFTER] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Search for architectures of students; a search that was killed goes on with the same command."""
    labels = {"task": task, "teacher": teacher, "search": search, "seed": seed}
    settings, given = support.load(params, grid), (data, tuple(teacher_outputs or ()), teacher_dir, supernet, latency)
    searching = _searching(settings, labels, given, known=(after[0] if after else out).parent / KNOWN, threads=threads)
    from distilgrid.stages.search.run import run_search

    for one in run_search(searching, after=after or (), out=out, labels=labels):
        typer.echo(f"{one['rank']}. {one['name']}: reward {one['reward']:.4f}, {one['latency_ms']:.2f} ms")


def candidate(
    task: Task,
    teacher: TeacherName,
    search: SearchName,
    data: DataDir,
    out: Out,
    episode: Annotated[int, typer.Option(help="Of the search, counted from 0.")],
    number: Annotated[int, typer.Option(help="Of the candidate in its episode, counted from 0.")],
    seed: ControllerSeed = 0,
    teacher_outputs: OutputsGiven = None,
    teacher_dir: TeacherDir = None,
    supernet: SupernetDir = None,
    latency: LatencyDir = None,
    after: Annotated[list[Path] | None, AFTER] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Find out about one candidate of a search: what an episode is made of where `resources.candidate_jobs` is set."""
    labels = {"task": task, "teacher": teacher, "search": search, "seed": seed}
    settings, given = support.load(params, grid), (data, tuple(teacher_outputs or ()), teacher_dir, supernet, latency)
    searching = _searching(settings, labels, given, known=out.parent / KNOWN, threads=threads)
    from distilgrid.stages.candidate.run import candidate as stage

    place = {"episode": episode, "number": number}
    found = stage(searching, **place, after=after or (), out=out, labels={**labels, **place})
    typer.echo(f"score {found.score:.4f}, loss {found.loss:.4f}, {found.latency_ms:.2f} ms, {found.seconds:.1f} s")


def _searching(
    settings: "Params", labels: Mapping[str, Any], sources: SourceFolders, *, known: Path, threads: int | None
) -> "Searching":
    """The search that a command's options choose."""
    own = support.named(settings.searches, labels["search"], kind="search")
    origin = support.named(settings.teachers, labels["teacher"], kind="teacher").source
    support.start(settings, threads=threads, torch=True)
    from distilgrid.search.space import load_space
    from distilgrid.stages.search.searching import Searching, Sources

    return Searching(
        settings=own,
        space=load_space(own.space),
        benchmark=settings.benchmark,
        origin=origin,
        seed=labels["seed"],
        training=settings.training,
        sources=Sources(*sources),
        known=known,
        subset_seed=settings.data.seed,
        device=settings.resources.device,
    )
