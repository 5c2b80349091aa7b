"""The kind `image`: an image with one label."""

from distilgrid.tasks.kinds.kind import TaskKind, Words
from distilgrid.tasks.kinds.label.metrics import METRICS

KIND = TaskKind(
    name="image",
    modality="image",
    metrics=METRICS,
    tempered=True,
    words=Words(row="image", rows="images", label="label"),
    parts={"losses": "distilgrid.tasks.kinds.label.losses:LOSSES"},
)
