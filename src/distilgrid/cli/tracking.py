"""The commands that show results in MLflow: `track`, `register`."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid.cli import support
from distilgrid.cli.support import PARAMS_DEFAULT, RESULTS_DEFAULT, GridFiles, ParamsFiles, Results
from distilgrid.core.errors import UserError

Uri = Annotated[
    str | None,
    typer.Option(
        "--uri",
        envvar="MLFLOW_TRACKING_URI",
        show_envvar=True,
        help="MLflow store: sqlite:///FILE, a server's http address, postgresql://...; default: results/mlflow.db.",
    ),
]


def track(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    uri: Uri = None,
    out: Annotated[Path | None, typer.Option(help="Also write the summary to this JSON file.")] = None,
    or_later: Annotated[
        bool, typer.Option("--or-later", help="When the store does not answer, say so and succeed.")
    ] = False,
) -> None:
    """Show a grid's finished cells in MLflow; a repeat changes nothing."""
    settings, expanded = support.load_plan(params, grid)
    from distilgrid.stages.runner import start

    start(settings, threads=1, torch=False)
    from distilgrid.core.artefacts import readable_os_errors, write_json
    from distilgrid.tracking import default_uri
    from distilgrid.tracking import track as upsert
    from distilgrid.tracking.store import StoreDownError
    from distilgrid.tracking.waiting import WAITING

    try:
        summary = upsert(plan=expanded, results=results, uri=uri or default_uri(results))
    except StoreDownError as error:
        if not or_later:
            raise
        summary = {"grid": settings.grid.name, WAITING: str(error)}
        typer.echo(f"distilgrid: {error}", err=True)
    if out is not None:
        with readable_os_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_json(out, summary)
    typer.echo(", ".join(f"{name} {value}" for name, value in summary.items()))


def register(
    task: Annotated[str | None, typer.Option(help="Name of the task; needed where the grid has several.")] = None,
    method: Annotated[str | None, typer.Option(help="Only students of this method.")] = None,
    student: Annotated[str | None, typer.Option(help="Only this student.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of its training; the first finished one unless given.")] = None,
    cell: Annotated[Path | None, typer.Option(help="Instead: the folder of a trained student or teacher.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the registered model; default: distilgrid-<task>.")] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    uri: Uri = None,
) -> None:
    """Put a model, by default the best student, into MLflow's registry."""
    settings, plan = support.load_plan(params, grid)
    from distilgrid.stages.runner import start

    start(settings, threads=None, torch=True)
    from distilgrid.tracking import default_uri
    from distilgrid.tracking.selecting import best_cell, cell_in

    wanted = {"method": method, "student": student, "seed": seed}
    if cell is not None:
        if [value for value in (task, *wanted.values()) if value is not None]:
            raise UserError("--cell: names one model; leave --task, --method, --student and --seed out")
        chosen = cell_in(plan, results, cell)
    else:
        chosen = best_cell(plan, results, task=task, wanted=wanted)
    from distilgrid.tracking.register import register as put

    made = put(plan=plan, results=results, cell=chosen, uri=uri or default_uri(results), name=name)
    typer.echo(f"{made.uri}: {'registered' if made.new else 'was registered before'}, from {results / made.cell}")
