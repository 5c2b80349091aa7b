"""The commands that look at a grid: `track`, `diff`, `papers`."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid.cli import support
from distilgrid.cli.support import PARAMS_DEFAULT, RESULTS_DEFAULT, GridFiles, ParamsFiles, Results, Uri
from distilgrid.core.errors import UserError

Given = Annotated[Path, typer.Argument(help="A folder of results/reports, or the overlay of a finished grid.")]


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
    expanded = support.load_plan(params, grid)
    from distilgrid.stages.runner import start

    start(expanded.params, threads=1, torch=False)
    from distilgrid.core.artefacts import json_text, write_text
    from distilgrid.tracking import WAITING, default_uri
    from distilgrid.tracking import track as upsert
    from distilgrid.tracking.store import StoreDownError

    try:
        summary = upsert(plan=expanded, results=results, uri=uri or default_uri(results))
    except StoreDownError as error:
        if not or_later:
            raise
        summary = {"grid": expanded.params.grid.name, WAITING: str(error)}
        typer.echo(f"distilgrid: {error}", err=True)
    if out is not None:
        write_text(out, json_text(summary))
    typer.echo(", ".join(f"{name} {value}" for name, value in summary.items()))


def diff(
    a: Given,
    b: Given,
    params: ParamsFiles = PARAMS_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Also write the comparison to this JSON file.")] = None,
) -> None:
    """Compare two finished grids: which scores changed, and why."""
    from distilgrid.audit.diff import as_json, as_text, compare, open_side
    from distilgrid.core.artefacts import json_text, write_text

    comparison = compare(*(open_side(_report(given, params, results)) for given in (a, b)))
    if out is not None:
        write_text(out, json_text(as_json(comparison)))
    typer.echo(as_text(comparison))


def papers(results: Results = RESULTS_DEFAULT) -> None:
    """Write a page for each paper that finished grids reproduce.

    A page has the paper's claims, its numbers next to ours, and the cost of ours.
    """
    from distilgrid.stages.report.page import publish_papers

    for page in publish_papers(results):
        typer.echo(page)


def _report(given: Path, params: list[Path], results: Path) -> Path:
    """The folder of a report: as given, or that of an overlay's grid."""
    if given.is_dir():
        return given
    if not given.is_file():
        raise UserError(f"{given}: neither a folder of results/reports nor the file of a grid")
    plan = support.load_plan(params, [given])
    folder = results / plan.report.folder
    if not folder.is_dir():
        raise UserError(f"{given}: its report {folder} is not there; run this grid first")
    return folder
