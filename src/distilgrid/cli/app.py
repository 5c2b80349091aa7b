"""The `distilgrid` command: a sub-command for each stage, and those around a grid.

Light: each command imports torch, pandas or MLflow itself when it needs them, so `--help` is instant.
"""

import sys
from collections.abc import Callable

import typer

from distilgrid.cli.audit import cards, diff, papers, verify
from distilgrid.cli.choose import choose
from distilgrid.cli.grid import gc, plan, publish
from distilgrid.cli.groups import Grouped
from distilgrid.cli.setup import doctor, init, schema, where
from distilgrid.cli.stages import stage_command
from distilgrid.cli.support import RESULTS_DEFAULT
from distilgrid.cli.tracking import register, track
from distilgrid.core.errors import UserError
from distilgrid.stages.table import STAGES

app = typer.Typer(
    name="distilgrid",
    help="Compress language models reproducibly: from data and teachers to students, latencies and a report.",
    cls=Grouped,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMMANDS: dict[Callable[..., None], str] = {
    init: "mygrid",
    where: "grids/glue_mini.yaml",
    plan: "--grid grids/glue_mini.yaml",
    publish: "",
    gc: "--grid grids/glue_mini.yaml --delete",
    track: "&& make ui",
    diff: "grids/glue_mini.yaml results/reports/glue-mini-0123456789ab",
    papers: "",
    choose: "--task docs-topic --max-latency 10ms --max-loss 1.0",
    register: "--task docs-topic --student minilm-l3",
    cards: "--grid grids/glue_mini.yaml",
    verify: "--cells 5",
    doctor: "",
    schema: "--out params.schema.json",
}
"""The commands that do not run a stage, with the options of an example."""

for function, example in {**COMMANDS, **{stage_command(each): each.example for each in STAGES.values()}}.items():
    name = function.__name__
    app.command(name, epilog=f"Example: distilgrid {name} {example}".rstrip())(function)


def main() -> None:
    """Run the command line; bad input, a full disk or missing permissions end in one clear line and exit code 2."""
    from distilgrid.core.artefacts import readable_os_errors

    try:
        with readable_os_errors(RESULTS_DEFAULT):
            app()
    except UserError as error:
        sys.stderr.write(f"distilgrid: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
