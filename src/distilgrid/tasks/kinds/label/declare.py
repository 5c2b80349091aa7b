"""The kind `label`: a text, or a pair of texts, with one label."""

from distilgrid.tasks.kinds.kind import TaskKind, Words
from distilgrid.tasks.kinds.label.metrics import METRICS

KIND = TaskKind(
    name="label",
    modality="text",
    metrics=METRICS,
    tempered=True,
    words=Words(row="text", rows="texts", label="label"),
    parts={"losses": "distilgrid.tasks.kinds.label.losses:LOSSES"},
)
