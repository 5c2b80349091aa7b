"""What decides a shape's latency, as numbers: its choices, and the arithmetic and memory that follow from them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.search.space import Shape

if TYPE_CHECKING:
    import pandas as pd

ACTIVATIONS = ("relu", "silu", "gelu")


def multiply_adds(shape: Shape, *, length: int, batch: int = 1) -> dict[str, int]:
    """Multiply-adds of one run by part: projections, attention between tokens, feed-forward."""
    tokens = length * batch
    return {
        "projections": shape.layers * tokens * 4 * shape.hidden**2,
        "attention": shape.layers * tokens * 2 * length * shape.hidden,
        "feed_forward": shape.layers * tokens * 2 * shape.hidden * shape.feed_forward,
    }


def features(shapes: Sequence[Shape], *, length: int, batch: int = 1) -> "pd.DataFrame":
    """One row for each shape: logarithms of its sizes and of its arithmetic, and its activation as a number."""
    import pandas as pd

    rows = []
    for shape in shapes:
        work = multiply_adds(shape, length=length, batch=batch)
        sizes = {name: getattr(shape, name) for name in ("layers", "hidden", "heads", "feed_forward", "parameters")}
        elements = {"head_width": shape.hidden // shape.heads, "scores": shape.layers * shape.heads * length**2 * batch}
        elements |= {"activated": shape.layers * shape.feed_forward * length * batch}
        whole = {"all": sum(work.values())}
        logs = {name: float(np.log(value)) for name, value in {**sizes, **work, **elements, **whole}.items()}
        rows.append({**logs, "activation": ACTIVATIONS.index(shape.activation)})
    return pd.DataFrame(rows)
