"""The kind `number`: a text, or a pair of texts, with a real number (a regression)."""

from distilgrid.tasks.kinds.kind import TaskKind, Words
from distilgrid.tasks.kinds.number.metrics import METRICS

KIND = TaskKind(
    name="number",
    modality="text",
    metrics=METRICS,
    tempered=False,
    words=Words(row="text", rows="texts", label="number"),
    parts={"losses": "distilgrid.tasks.kinds.number.losses:LOSSES"},
)
