"""What decides a shape's latency, as numbers: its choices, and the arithmetic and memory that follow from them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.search.architecture import Architecture
from distilgrid.search.encoder import encoder_of

if TYPE_CHECKING:
    import pandas as pd

ACTIVATIONS = ("relu", "silu", "gelu")


def multiply_adds(shape: Architecture, *, length: int, batch: int = 1) -> dict[str, int]:
    """Multiply-adds of one run by part, over all layers: projections, attention between tokens, feed-forward.

    Projections are those of attention, and those between layers of different widths.
    """
    tokens, (hidden, feed_forward, _, _) = length * batch, encoder_of(shape)
    resized = sum(before * after for before, after in pairwise(hidden) if before != after)
    return {
        "projections": tokens * (4 * sum(width**2 for width in hidden) + resized),
        "attention": tokens * 2 * length * sum(hidden),
        "feed_forward": tokens * 2 * sum(width * inner for width, inner in zip(hidden, feed_forward, strict=True)),
    }


def features(shapes: Sequence[Architecture], *, length: int, batch: int = 1) -> "pd.DataFrame":
    """One row for each shape: logarithms of its sizes and of its arithmetic, and its activation as a number.

    Widths are means over layers; everything else adds up over them.
    """
    import pandas as pd

    rows = []
    for shape in shapes:
        work = multiply_adds(shape, length=length, batch=batch)
        hidden, feed_forward, heads, activation = encoder_of(shape)
        layers, width = len(hidden), sum(hidden) / len(hidden)
        sizes = {"layers": layers, "hidden": width, "heads": heads, "feed_forward": sum(feed_forward) / layers}
        sizes |= {"parameters": shape.parameters}
        elements = {"head_width": width / heads, "scores": layers * heads * length**2 * batch}
        elements |= {"activated": sum(feed_forward) * length * batch}
        whole = {"all": sum(work.values())}
        logs = {name: float(np.log(value)) for name, value in {**sizes, **work, **elements, **whole}.items()}
        rows.append({**logs, "activation": ACTIVATIONS.index(activation)})
    return pd.DataFrame(rows)
