"""Metrics of predicted numbers. Light: `formulas.py` computes them."""

from distilgrid.core.loading import late
from distilgrid.tasks.metric import Metric

FORMULAS = "distilgrid.tasks.kinds.number.formulas"

METRICS = {
    "pearson": Metric(
        name="pearson",
        per_row=late(f"{FORMULAS}:moments"),
        combine=late(f"{FORMULAS}:pearson"),
        direct=late(f"{FORMULAS}:direct_pearson"),
    ),
    "spearman": Metric(
        name="spearman",
        per_row=late(f"{FORMULAS}:pairs"),
        combine=late(f"{FORMULAS}:spearman"),
        summed=False,
        weigh=late(f"{FORMULAS}:weighted_spearman"),
    ),
}
