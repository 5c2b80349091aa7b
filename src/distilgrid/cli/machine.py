"""The commands that need no grid: `doctor`, `schema`."""

from pathlib import Path
from typing import Annotated

import typer


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
