"""The commands that make results trustworthy: `verify`, `doctor`, `schema`."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid.cli.support import RESULTS_DEFAULT, Results, finite


def verify(
    results: Results = RESULTS_DEFAULT,
    cells: Annotated[int, typer.Option(help="Trained models to score again; they are drawn at random.", min=0)] = 3,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    part: Annotated[
        bool, typer.Option("--part", help="The folder holds only a part of the results; missing inputs are no error.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="What a printed score may differ by: rounding.", min=0, callback=finite)
    ] = 0.1,
) -> None:
    """Verify every artefact, and score some models again.

    Inputs of artefacts are followed, too. The exit code is 1 when there are problems.
    """
    from distilgrid.audit.verify import verify as examine

    found = examine(results, part=part)
    typer.echo(found.summary())
    problems = [problem.line() for problem in found.problems]
    if cells:
        from distilgrid.core.machine import usable_cores
        from distilgrid.jobs.process import start_torch_job

        start_torch_job(threads=usable_cores(), log_level="warning")
        from distilgrid.audit.rescore import rescored

        for line, good in rescored(found.made, count=cells, seed=seed, tolerance=tolerance):
            typer.echo(line)
            problems += [] if good else [line]
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def doctor() -> None:
    """Check this machine, and say what to fix."""
    from distilgrid.jobs.doctor import examine

    checks = examine()
    for check in checks:
        typer.echo(check.line())
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


def schema(out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None) -> None:
    """Write the JSON Schema of the parameters."""
    from distilgrid.plan.params import schema_text

    if out is None:
        typer.echo(schema_text(), nl=False)
        return
    from distilgrid.core.artefacts import write_text

    write_text(out, schema_text())
