"""The commands that need no grid: `init`, `where`, `doctor`, `schema`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

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
    from distilgrid.core.artefacts import readable_os_errors

    with readable_os_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(schema_text(), encoding="utf-8")
