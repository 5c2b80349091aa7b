"""Predictor of latencies, fitted to measured shapes."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.artefacts import write_json
from distilgrid.core.finished import open_finished
from distilgrid.search.architecture import Architecture, read_architecture
from distilgrid.search.conditions import Conditions
from distilgrid.search.ranks import FEWEST, kendalls_tau, tau_bounds

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

ACTIVATIONS = ("relu", "silu", "gelu")
CONFIDENCE = 0.95
"""Level of the interval of a predictor's rank correlation, as of latencies."""
SETTINGS, TABLE = "predictor.json", "measurements.parquet"


class LatencyPredictor:
    """A Gaussian process on standardised logarithms, from shape to the logarithm of latency.

    Latency is near a product of powers of the sizes, with steps where a size fits the vector width and where weights
    outgrow a cache. The linear kernel carries the powers, the Matern kernel (one length scale for each feature) smooth
    deviations, the white kernel the noise of measuring. With some dozens of measurements this predicted better than
    boosted trees, which know no powers, and than ridge regression, which knows only powers.

    A stored predictor is its training data, fitted again when loaded: the fit takes no random numbers, and no code is
    loaded. `latencies` are medians in ms (N,).
    """

    def __init__(self, conditions: Conditions, shapes: Sequence[Architecture], latencies: Sequence[float]) -> None:
        self.conditions, self.shapes = conditions, tuple(shapes)
        self.measured = np.asarray(latencies, dtype=float)
        known = self._features(shapes)
        with warnings.catch_warnings():  # the length scale of an irrelevant feature ends at the upper bound
            warnings.simplefilter("ignore")
            self._model = _regressor(known.shape[1]).fit(known, np.log(self.measured))

    def predict(self, shapes: Sequence[Architecture]) -> np.ndarray:
        """Latencies in ms: (N,)."""
        return np.exp(self._model.predict(self._features(shapes)))

    def latencies(self, architectures: Sequence[Architecture]) -> list[float]:
        """Predicted latency in ms of each architecture, for searches that cannot measure every candidate."""
        return self.predict(architectures).tolist() if architectures else []

    def quality(self, shapes: Sequence[Architecture], latencies: Sequence[float]) -> dict[str, float | None]:
        """Relative errors and rank correlation on measurements that were held out; nine in ten keep to `p90_error`.

        The interval of Kendall's tau covers the choice of shapes. It is None for fewer than `ranks.FEWEST` of them.
        """
        predicted, measured = self.predict(shapes), np.asarray(latencies, dtype=float)
        errors = np.abs(predicted - measured) / measured
        median, p90 = map(float, np.quantile(errors, (0.5, 0.9)))
        tau = kendalls_tau(predicted.tolist(), measured.tolist())
        known = None if tau is None or len(errors) < FEWEST else tau_bounds(tau, len(errors), CONFIDENCE)
        low, high = known or (None, None)
        ranks = {"kendall_tau": tau, "kendall_low": low, "kendall_high": high, "confidence": CONFIDENCE}
        return {"rows": len(errors), "median_error": median, "p90_error": p90, **ranks}

    def save(self, folder: Path, **facts: Any) -> None:
        """Write `measurements.parquet`, with the choices and `latency_ms` of each shape, and `predictor.json`."""
        import pandas as pd

        table = pd.DataFrame([shape.as_dict() for shape in self.shapes]).assign(latency_ms=self.measured)
        table.to_parquet(folder / TABLE, index=False)
        write_json(folder / SETTINGS, {"conditions": self.conditions.as_dict(), **facts})

    @classmethod
    def load(cls, folder: Path) -> "LatencyPredictor":
        """Load a predictor and fit it again. Raises UserError when a file is missing or damaged."""
        found = open_finished(folder, stage="latency")
        conditions, table = Conditions(**found.json(SETTINGS)["conditions"]), found.table(TABLE)
        choices = table.drop(columns="latency_ms").to_dict("records")
        shapes = [read_architecture({str(name): value for name, value in row.items()}) for row in choices]
        return cls(conditions, shapes, table["latency_ms"].tolist())

    def _features(self, shapes: Sequence[Architecture]) -> np.ndarray:
        return features(shapes, length=self.conditions.length, batch=self.conditions.batch).to_numpy()


def _regressor(width: int) -> "Pipeline":
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    smooth = ConstantKernel(0.1) * Matern(length_scale=np.full(width, 3.0), length_scale_bounds=(0.1, 1e3), nu=2.5)
    kernel = ConstantKernel(1.0) * DotProduct() + smooth + WhiteKernel(1e-3, noise_level_bounds=(1e-6, 1e-1))
    return make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True))


def multiply_adds(shape: Architecture, *, length: int, batch: int = 1) -> dict[str, int]:
    """Multiply-adds of one run by part: projections (of attention and between widths), attention, feed-forward."""
    tokens, hidden, feed_forward = length * batch, shape.encoder.hidden, shape.encoder.feed_forward
    resized = sum(before * after for before, after in pairwise(hidden) if before != after)
    return {
        "projections": tokens * (4 * sum(width**2 for width in hidden) + resized),
        "attention": tokens * 2 * length * sum(hidden),
        "feed_forward": tokens * 2 * sum(width * inner for width, inner in zip(hidden, feed_forward, strict=True)),
    }


def features(shapes: Sequence[Architecture], *, length: int, batch: int = 1) -> "pd.DataFrame":
    """One row for each shape: logarithms of sizes and arithmetic, and the activation as a number.

    Widths are means over layers; all other values are sums.
    """
    import pandas as pd

    rows = []
    for shape in shapes:
        encoder = shape.encoder
        layers, feed_forward, width = encoder.layers, sum(encoder.feed_forward), sum(encoder.hidden) / encoder.layers
        work = multiply_adds(shape, length=length, batch=batch)
        sizes = {
            "layers": layers,
            "hidden": width,
            "heads": encoder.heads,
            "feed_forward": feed_forward / layers,
            "parameters": shape.parameters,
            "head_width": width / encoder.heads,
            "scores": layers * encoder.heads * length**2 * batch,
            "activated": feed_forward * length * batch,
            **work,
            "all": sum(work.values()),
        }
        logs = {name: float(np.log(value)) for name, value in sizes.items()}
        rows.append({**logs, "activation": ACTIVATIONS.index(encoder.activation)})
    return pd.DataFrame(rows)
