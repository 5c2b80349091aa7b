"""The kind `number`: a text, or a pair of texts, with a real number (a regression)."""

from distilgrid.core.loading import late
from distilgrid.tasks.kind import Metric, Nouns, TaskKind, own_parts
from distilgrid.tasks.kinds.label.declare import TEXT_SOURCES

HERE = "distilgrid.tasks.kinds.number"
FORMULAS = f"{HERE}.formulas"
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

KIND = TaskKind(
    name="number",
    modality="text",
    metrics=METRICS,
    tempered=False,
    words=Nouns(row="text", rows="texts"),
    sources=TEXT_SOURCES,
    fields=frozenset({"text"}),
    **own_parts(HERE),
)
