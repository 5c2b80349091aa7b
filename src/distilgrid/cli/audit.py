"""The commands about finished results: `verify`, `diff`, `cards`, `papers`."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid.cli import support
from distilgrid.cli.support import PARAMS_DEFAULT, RESULTS_DEFAULT, GridFiles, ParamsFiles, Results
from distilgrid.core.errors import UserError

Given = Annotated[Path, typer.Argument(help="A folder of results/reports, or the overlay of a finished grid.")]


def verify(
    results: Results = RESULTS_DEFAULT,
    cells: Annotated[int, typer.Option(help="Trained models to score again; they are drawn at random.", min=0)] = 3,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    tolerance: Annotated[float, typer.Option(help="Points that a score may differ by: rounding.", min=0)] = 0.1,
) -> None:
    """Verify every artefact, and score some models again.

    Inputs of artefacts are followed, too. The exit code is 1 when there are problems.
    """
    from distilgrid.audit.made import by_key
    from distilgrid.audit.verify import verify as examine

    found = examine(results)
    typer.echo(found.summary())
    problems = [problem.line() for problem in found.problems]
    if cells:
        from distilgrid.core.machine import usable_cores
        from distilgrid.jobs.process import start_torch_job

        start_torch_job(threads=usable_cores(), log_level="warning")
        from distilgrid.audit.rescore import choose, rescored

        chosen = choose(found.made, count=cells, seed=seed)
        for line, good in rescored(chosen, artefacts=by_key(found.made), tolerance=tolerance / 100):
            typer.echo(line)
            problems += [] if good else [line]
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def diff(
    a: Given,
    b: Given,
    params: ParamsFiles = PARAMS_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Also write the comparison to this JSON file.")] = None,
) -> None:
    """Compare two finished grids: which scores changed, and why."""
    from distilgrid.audit.diff import compare, open_side
    from distilgrid.audit.diff_text import as_json, as_text
    from distilgrid.core.artefacts import readable_os_errors, write_json

    comparison = compare(*(open_side(_report(given, params, results)) for given in (a, b)))
    if out is not None:
        with readable_os_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_json(out, as_json(comparison))
    typer.echo(as_text(comparison))


def cards(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: results/cards/<grid>.")] = None,
) -> None:
    """Write cards of models and data in the Hugging Face format.

    Their licences are listed in licences.md.
    """
    settings, plan = support.load_plan(params, grid)
    from distilgrid.cards.write import write_cards

    folder = out or results / "cards" / settings.grid.name
    typer.echo(f"{folder}: {write_cards(plan=plan, results=results, out=folder)} cards, and licences.md")


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
    _, plan = support.load_plan(params, [given])
    folder = results / plan.report.folder
    if not folder.is_dir():
        raise UserError(f"{given}: its report {folder} is not there; run this grid first")
    return folder
