"""The commands that ship a model: `choose`, `register`, `cards`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from distilgrid.cli import support
from distilgrid.cli.support import PARAMS_DEFAULT, RESULTS_DEFAULT, GridFiles, ParamsFiles, Results, Uri
from distilgrid.core.errors import UserError


def choose(
    max_latency: Annotated[str, typer.Option(help="The most time for one input: 10ms, 0.5s, 800us.")],
    max_loss: Annotated[float, typer.Option(help="The most points of score below the student's own teacher, on dev.")],
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
    """Choose the smallest model that is fast and good enough to deploy."""
    plan = support.load_plan(params, grid)
    from distilgrid.deployment.choice import Limits, choose_model, parse_latency
    from distilgrid.deployment.folder import write_folder
    from distilgrid.deployment.measured import Where

    limits, where = (
        Limits(parse_latency(max_latency), max_loss),
        Where(device or plan.params.benchmark.devices[0], at, threads, percentile),
    )
    choice, collected = choose_model(plan=plan, results=results, task=task, limits=limits, where=where)
    typer.echo(choice.winner.name if choice.winner else "no model keeps to both limits")
    for reason in choice.reasons:
        typer.echo(f"  {reason}")
    if choice.winner is None:
        raise typer.Exit(1)
    typer.echo(f"  ready to deploy: {write_folder(choice.winner, collected, results=results, out=out)}")


def register(
    task: Annotated[str | None, typer.Option(help="Name of the task; needed where the grid has several.")] = None,
    method: Annotated[str | None, typer.Option(help="Only students of this method.")] = None,
    student: Annotated[str | None, typer.Option(help="Only this student.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of its training; the best on dev unless given.", min=0)] = None,
    cell: Annotated[Path | None, typer.Option(help="Instead: the folder of a trained student or teacher.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the registered model; default: distilgrid-<task>.")] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    uri: Uri = None,
) -> None:
    """Put a model, by default the best on dev, into MLflow's registry."""
    plan = support.load_plan(params, grid)
    from distilgrid.stages.runner import start

    start(plan.params, threads=None, torch=True)
    from distilgrid.tracking import default_uri
    from distilgrid.tracking.register import best_cell, cell_in
    from distilgrid.tracking.register import register as put

    wanted = {"method": method, "student": student, "seed": seed}
    if cell is not None:
        if [value for value in (task, *wanted.values()) if value is not None]:
            raise UserError("--cell: names one model; leave --task, --method, --student and --seed out")
        chosen = cell_in(plan, results, cell)
    else:
        chosen = best_cell(plan, results, task=task, wanted=wanted)
    made = put(plan=plan, results=results, cell=chosen, uri=uri or default_uri(results), name=name)
    typer.echo(f"{made.uri}: {'registered' if made.new else 'was registered before'}, from {results / made.cell}")


def cards(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: results/cards/<grid>.")] = None,
) -> None:
    """Write cards of models and data in the Hugging Face format.

    Their licences are listed in licences.md.
    """
    plan = support.load_plan(params, grid)
    from distilgrid.cards.write import write_cards

    folder = out or results / "cards" / plan.params.grid.name
    typer.echo(f"{folder}: {write_cards(plan=plan, results=results, out=folder)} cards, and licences.md")
