"""Loading of parameters, and of the plan of their grid."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distilgrid.plan.expand import Plan
    from distilgrid.plan.params import Params


def load(params: list[Path], grid: list[Path] | None) -> "Params":
    """Parameters from the base files with overlays on top."""
    from distilgrid.plan.params import load_params

    return load_params([*params, *(grid or [])])


def load_plan(params: list[Path], grid: list[Path] | None) -> "tuple[Params, Plan]":
    """Parameters and the plan of their grid."""
    from distilgrid.plan.expand import expand

    settings = load(params, grid)
    return settings, expand(settings)
