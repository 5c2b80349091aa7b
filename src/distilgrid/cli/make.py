"""The commands that make a grid: `init`, `where`, `plan`, `decide`, `publish`, `gc`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from distilgrid.cli import support
from distilgrid.cli.support import PARAMS_DEFAULT, RESULTS_DEFAULT, GridFiles, ParamsFiles, Results
from distilgrid.core.errors import UserError


def init(folder: Annotated[Path, typer.Argument(help="Folder of the new project.")]) -> None:
    """Write a small project that works, to begin with."""
    from distilgrid.workflow.new_project import new_project

    new_project(folder)
    typer.echo(f"{folder}: a grid of 4 students, a few minutes on two cores. Next:")
    typer.echo(f"  cd {shlex.quote(str(folder))} && distilgrid plan && snakemake --cores 2")


def where(
    name: Annotated[str, typer.Argument(help="A file or folder: grids, grids/glue_mini.yaml, devices, profiles.")],
) -> None:
    """Print the path of a file that ships with the package."""
    from distilgrid.core.project import packaged

    path = packaged(name)
    if not name or not path.exists() or not path.resolve().is_relative_to(packaged("").resolve()):
        raise UserError(f"{name}: no such file ships with the package; `ls $(distilgrid where grids)` lists its grids")
    typer.echo(path)


def plan(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    commands: Annotated[bool, typer.Option("--commands", help="Print each artefact's command instead.")] = False,
    check: Annotated[bool, typer.Option("--check", help="One line only; exit code 1 when work is left.")] = False,
    cores: Annotated[int | None, typer.Option(help="Cores for the estimate; default: all usable.", min=1)] = None,
) -> None:
    """List what is done, stale or to do, and estimate the time left.

    A stale artefact says which of its settings or inputs changed, a damaged one what is wrong. Snakemake makes all that
    is not done. A package that jobs lack is named, with exit code 2.
    """
    from distilgrid.audit import status
    from distilgrid.core.project import read_yaml
    from distilgrid.stages.table import check_machine

    expanded = support.load_plan(params, grid)
    for empty in (file for file in grid or [] if not read_yaml(file)):
        typer.echo(f"{empty}: states nothing yet; leave it out of --configfile, as Snakemake refuses it", err=True)
    if commands:
        typer.echo("\n".join(status.command_lines(expanded, results=results, files=[*params, *(grid or [])])))
        return
    found = status.states(expanded, results=results)
    left = any(entry.state != "done" for entry in found)
    if not check:
        typer.echo(status.overview(found, expanded.params))
    from distilgrid.tracking import SUMMARY

    shown = left or (results / expanded.tracking / SUMMARY).is_file()
    said = status.time_left(found, expanded.params, results=results, cores=cores)
    typer.echo(said if shown else f"not in MLflow yet (`distilgrid track`), else {said}")
    check_machine(entry.artefact for entry in found if entry.state != "done")
    if check and left:
        raise typer.Exit(1)


def decide(
    options: Annotated[list[str] | None, typer.Argument(help="Options of Snakemake, after --.")] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    cores: Annotated[int | None, typer.Option(help="Cores of this machine; default: all usable.", min=1)] = None,
) -> None:
    """Run a grid, and add seeds where its claims are undecided.

    It ends when each claim is confirmed, refuted or negligible, or when the budget of report.decide is spent.
    """
    from distilgrid.workflow.decide import rounds, summary

    wanted = ["--cores", "all" if cores is None else str(cores)] if cores or not options else []
    for done in rounds(params, grid or [], results=RESULTS_DEFAULT, options=[*wanted, *(options or [])]):
        typer.echo("\n".join(summary(done)))


def publish(params: ParamsFiles = PARAMS_DEFAULT, grid: GridFiles = None, results: Results = RESULTS_DEFAULT) -> None:
    """Copy a finished report to results/latest, for DVC and readers."""
    expanded = support.load_plan(params, grid)
    from distilgrid.stages.report.page import publish as copy

    typer.echo(f"report: {copy(plan=expanded, results=results)}")


def gc(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    delete: Annotated[
        bool, typer.Option("--delete", help="Really delete; otherwise this is a dry run. On a terminal, it asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --delete: do not ask.")] = False,
    unfinished_days: Annotated[
        float, typer.Option(help="Unfinished work stays for this long after its last change.", min=0)
    ] = 7.0,
    given_only: Annotated[
        bool,
        typer.Option("--given-only", help="Keep results of the given files, not of the project's other grids."),
    ] = False,
) -> None:
    """List artefacts that no grid names; --delete removes them.

    Artefacts stay that params.yaml, a file of grids/ or a given file names. So do those of earlier runs whose files
    are elsewhere, those of jobs at work, and what these are made from.
    """
    from distilgrid.audit.garbage import Garbage, no_new_workflow, remove, survey

    def found() -> Garbage:
        days, others = unfinished_days, not given_only
        return survey(params_files=params, overlays=grid or [], results=results, unfinished_days=days, others=others)

    listed = found()
    for line in listed.lines("deleting" if delete else "would delete"):
        typer.echo(line)
    if not delete:
        typer.echo(f"{listed.total()}; --delete does it")
        return
    listed.refuse_unknown()
    if listed.unnamed and not yes and support.at_terminal():
        typer.confirm(f"Delete {listed.total()}?", abort=True)
    with no_new_workflow(results):
        now = found().unnamed  # a grid may have begun meanwhile
        kept = {folder: "needed since it was listed" for folder in listed.unnamed if folder not in now}
        kept |= remove({folder: size for folder, size in listed.unnamed.items() if folder in now}, results=results)
    for folder, reason in kept.items():
        typer.echo(f"kept {folder}: {reason}")
    typer.echo(listed.total(without=kept))
