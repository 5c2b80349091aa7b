"""The `distilgrid` command: a sub-command for each stage, and those around a grid.

Light: each command imports torch, pandas or MLflow itself when it needs them, so `--help` is instant.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from distilgrid import __version__
from distilgrid.cli.help import UNWRAPPED, Command, CommandGroup
from distilgrid.cli.look import diff, papers, track
from distilgrid.cli.make import decide, gc, init, plan, publish, where
from distilgrid.cli.ship import cards, choose, register
from distilgrid.cli.stages import stage_command
from distilgrid.cli.support import RESULTS_DEFAULT
from distilgrid.cli.trust import doctor, schema, verify
from distilgrid.core.errors import UserError
from distilgrid.stages.table import STAGES

REPORT = "report"
COMMANDS: dict[str, dict[Callable[..., None], str]] = {
    "Make a grid": {
        init: "mygrid",
        where: "grids/glue_mini.yaml",
        plan: "--grid grids/glue_mini.yaml",
        decide: "--grid grids/mixkd_limited_1_mini.yaml --cores 2",
        stage_command(STAGES[REPORT]): STAGES[REPORT].example,
        publish: "",
        gc: "--grid grids/glue_mini.yaml",
    },
    "Look at it": {
        track: "",
        diff: "params.yaml grids/docs_mini.yaml",
        papers: "",
    },
    "Ship a model": {
        choose: "--task docs-topic --max-latency 10ms --max-loss 1.0",
        register: "--task docs-topic --student minilm-l3",
        cards: "",
    },
    "Trust it": {verify: "--cells 5", doctor: "", schema: "--out params.schema.json"},
    "Run one stage of the workflow": {stage_command(s): s.example for s in STAGES.values() if s.name != REPORT},
}
"""The commands with the options of an example, in the groups and the order in which `distilgrid --help` lists them."""


class Grouped(CommandGroup):
    """A command whose sub-commands are listed in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each group: its name, and a line with the first sentence of each command's help."""
        width = max(len(name) for name in self.commands)
        for title, group in COMMANDS.items():
            with formatter.section(title):
                helps = {function.__name__: str(function.__doc__).partition("\n")[0].strip() for function in group}
                formatter.write_dl([(name.ljust(width), line) for name, line in helps.items()])


app = typer.Typer(
    name="distilgrid",
    help="Compress language models reproducibly: from data and teachers to students, latencies and a report.",
    cls=Grouped,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distilgrid {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options of the command line itself."""


for group in COMMANDS.values():
    for function, example in group.items():
        name = function.__name__
        app.command(name, cls=Command, epilog=f"{UNWRAPPED}Example: distilgrid {name} {example}".rstrip())(function)


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
