"""The kind `label`: a text, or a pair of texts, with one label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distilgrid.core.errors import UNPRINTABLE
from distilgrid.core.loading import late
from distilgrid.tasks.kind import Metric, Nouns, SourceScheme, TaskKind, own_parts

if TYPE_CHECKING:
    import numpy as np

    from distilgrid.tasks.spec import TaskSpec

HERE = "distilgrid.tasks.kinds.label"
FORMULAS = f"{HERE}.formulas"
METRICS = {
    "accuracy": Metric(name="accuracy", per_row=late(f"{FORMULAS}:hits"), combine=late(f"{FORMULAS}:accuracy")),
    "f1": Metric(name="f1", per_row=late(f"{FORMULAS}:positives"), combine=late(f"{FORMULAS}:f1")),
    "matthews": Metric(name="matthews", per_row=late(f"{FORMULAS}:confusion"), combine=late(f"{FORMULAS}:matthews")),
}
FILES = SourceScheme("distilgrid.tasks.files")
TEXT_SOURCES = {
    "glue": SourceScheme("distilgrid.tasks.glue"),
    "docs": SourceScheme("distilgrid.tasks.docs_corpus"),
    "csv": FILES,
    "jsonl": FILES,
    "parquet": FILES,
}


class LabelKind(TaskKind):
    """A kind with a set of labels."""

    def check_spec(self, spec: "TaskSpec") -> None:
        """Check the set of labels. Raises ValueError with a remedy."""
        super().check_spec(spec)
        if spec.labels is None:
            return
        if len(set(spec.labels)) != max(2, len(spec.labels)):
            raise ValueError("labels must name at least two labels, each once")
        if any(UNPRINTABLE.search(label) or not label.strip() for label in spec.labels):
            raise ValueError("labels must not be empty, nor hold control characters or line breaks")
        if "f1" in spec.metrics and len(spec.labels) != 2:
            raise ValueError("f1 is defined here for two labels, the second one being positive")

    def answer(self, outputs: "np.ndarray", labels: Sequence[str]) -> str:
        """The label with the largest logit, without torch."""
        return labels[int(outputs[0].argmax())]


KIND = LabelKind(
    name="label",
    modality="text",
    metrics=METRICS,
    tempered=True,
    words=Nouns(row="text", rows="texts"),
    sources=TEXT_SOURCES,
    fields=frozenset({"text", "labels"}),
    pipeline="text-classification",
    answer_code='json.load(open("labels.json"))[{logits}.argmax()]',
    **own_parts(HERE),
)
