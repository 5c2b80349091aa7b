"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ParamsFiles = Annotated[
    list[Path], typer.Option("--params", help="Parameter file; give it again for files on top.", show_default=True)
]
GridFiles = Annotated[
    list[Path] | None, typer.Option("--grid", help="Overlay that states only what differs: grids/glue_mini.yaml.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of all artefacts.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; a key in its name must be the right one.")]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads of this process; default: resources.threads.")]

PARAMS_DEFAULT = [Path("params.yaml")]
RESULTS_DEFAULT = Path("results")
