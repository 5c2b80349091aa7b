"""The commands that begin a project, and find what ships with the package."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid.core.errors import UserError


def init(folder: Annotated[Path, typer.Argument(help="Folder of the new project.")]) -> None:
    """Write a small project that works, to begin with."""
    import shlex

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
    if not path.exists():
        raise UserError(f"{name}: no such file ships with the package; `ls $(distilgrid where grids)` lists its grids")
    typer.echo(path)
