"""Options that several commands share, and loading of parameters and plans."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distilgrid.core.machine import MOST_THREADS

if TYPE_CHECKING:
    from distilgrid.plan.expand import Plan
    from distilgrid.plan.params import Params

ParamsFiles = Annotated[
    list[Path], typer.Option("--params", help="Parameter file; give it again for files on top.", show_default=True)
]
GridFiles = Annotated[
    list[Path] | None, typer.Option("--grid", help="Overlay that states only what differs: grids/glue_mini.yaml.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of all artefacts.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; a key in its name must be the right one.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", help="Threads of this process; default: resources.threads.", min=1, max=MOST_THREADS),
]
Uri = Annotated[
    str | None,
    typer.Option(
        "--uri",
        envvar="MLFLOW_TRACKING_URI",
        show_envvar=True,
        help="MLflow store: sqlite:///FILE, a server's http address, postgresql://...; default: results/mlflow.db.",
    ),
]


def finite(value: float | None) -> float | None:
    """Refuse what no bound refuses: infinity, and not-a-number, which is neither too small nor too large."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


PARAMS_DEFAULT = [Path("params.yaml")]
RESULTS_DEFAULT = Path("results")


def at_terminal() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin.isatty()


def load(params: list[Path], grid: list[Path] | None) -> "Params":
    """Parameters from the base files with overlays on top."""
    from distilgrid.plan.params import load_params

    return load_params([*params, *(grid or [])])


def load_plan(params: list[Path], grid: list[Path] | None) -> "Plan":
    """The plan of the parameters' grid."""
    from distilgrid.plan.expand import expand

    return expand(load(params, grid))
