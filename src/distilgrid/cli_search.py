"""The commands of architecture search: `latency`; light, as the rest of the command line."""

from pathlib import Path
from typing import Annotated

import typer

from distilgrid import cli_support as support
from distilgrid.cli_options import PARAMS_DEFAULT, GridFiles, Out, ParamsFiles


def latency(
    space: Annotated[Path, typer.Option(help="A search space: grids/spaces/minilm.yaml.")],
    runtime: Annotated[str, typer.Option(help="One of `benchmark.runtimes`.")],
    out: Out,
    architectures: Annotated[int, typer.Option(help="Shapes that the predictor is fitted to.", min=8)] = 120,
    held_out: Annotated[int, typer.Option(help="Further shapes that judge it.", min=2)] = 40,
    unfused: Annotated[bool, typer.Option("--unfused", help="Leave the graph as it was exported.")] = False,
    device: Annotated[str, typer.Option(help="Name of a file in the folder `devices`.")] = "local-cpu",
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
) -> None:
    """Measure random shapes of a search space, and fit a latency predictor to them."""
    settings = support.load(params, grid)
    support.start(settings, threads=1, torch=True)
    from distilgrid.search.space import load_space
    from distilgrid.stages.latency import latency as stage

    quality = stage(
        space=load_space(space),
        runtime=runtime,
        settings=settings.benchmark,
        device=device,
        fitted=architectures,
        held_out=held_out,
        out=out,
        fused=not unfused,
    )
    typer.echo(
        f"{quality['rows']} held-out shapes: median error {100 * quality['median_error']:.1f} %, nine in ten within "
        f"{100 * quality['p90_error']:.1f} %, Kendall's tau {quality['kendall_tau']:.3f}"
    )
