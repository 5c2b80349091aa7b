"""Settings of the plot of a teacher's features. Light: no torch here."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.schema import Settings
from distilgrid.methods.base import BaseMethod

ORIGINAL, MIXED = "original", "mixed"
KINDS = {ORIGINAL, MIXED}
"""Kinds of rows, next to those that augmentations name."""


class Features(Settings):
    """Rows in the plot of a teacher's features, and their projection to two dimensions."""

    rows: int = Field(default=300, ge=10)
    """Training rows in the plot, and at most as many mixed samples and rows of each augmentation."""
    projection: Literal["pca", "tsne"] = "pca"
    """`pca`: the two directions of largest variance; `tsne`: neighbours stay neighbours, distances mean little."""
    method: str | None = None
    """The grid's method whose mixing is shown; null takes the first that mixes."""


def mixing_method(features: Features, names: Sequence[str], methods: Mapping[str, BaseMethod]) -> str:
    """The method whose mixed samples are shown, among `names`.

    Raises:
        UserError: when no method of the grid has that name, or none mixes samples.
    """
    mixing = [name for name in names if methods[name].mixing is not None]
    if not mixing:
        raise UserError("report.features: no method of the grid mixes samples; add one, or set report.features: null")
    name = features.method or mixing[0]
    if name not in mixing:
        hint = did_you_mean(name, mixing)
        raise UserError(f"report.features.method: '{name}' names no method of the grid that mixes samples; {hint}")
    return name
