"""Metrics of predicted labels. Light: `formulas.py` computes them."""

from distilgrid.core.loading import late
from distilgrid.tasks.metric import Metric

FORMULAS = "distilgrid.tasks.kinds.label.formulas"

METRICS = {
    "accuracy": Metric(name="accuracy", per_row=late(f"{FORMULAS}:hits"), combine=late(f"{FORMULAS}:accuracy")),
    "f1": Metric(name="f1", per_row=late(f"{FORMULAS}:positives"), combine=late(f"{FORMULAS}:f1")),
    "matthews": Metric(
        name="matthews",
        per_row=late(f"{FORMULAS}:confusion"),
        combine=late(f"{FORMULAS}:matthews"),
        direct=late(f"{FORMULAS}:direct_matthews"),
    ),
}
