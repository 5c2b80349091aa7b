"""The kind `image`: an image with one label."""

from functools import partial
from typing import TYPE_CHECKING

from distilgrid.core.loading import load
from distilgrid.tasks.kind import Nouns, SourceScheme
from distilgrid.tasks.kinds.label.declare import FILES, METRICS, LabelKind
from distilgrid.tasks.kinds.label.declare import KIND as LABEL

if TYPE_CHECKING:
    from distilgrid.tasks.spec import TaskSpec

HERE = "distilgrid.tasks.kinds.image"
PUBLISHED = f"{HERE}.sources"


class ImageKind(LabelKind):
    """A kind with a set of labels whose models normalise pixels."""

    def check_spec(self, spec: "TaskSpec") -> None:
        """Check labels and channel statistics. Raises ValueError with a remedy."""
        super().check_spec(spec)
        if (spec.mean is None) != (spec.std is None):
            raise ValueError("give both mean and std, or neither")
        if spec.mean is None or spec.std is None:
            return
        if len(spec.mean) != len(spec.std) or len(spec.mean) not in (1, 3):
            raise ValueError("mean and std take one number for grey images, or three for colour")
        if not all(0 <= value <= 1 for value in spec.mean) or not all(0 < value <= 1 for value in spec.std):
            raise ValueError("mean and std are shares of the brightest value: mean in 0..1, std above 0 and up to 1")


KIND = ImageKind(
    name="image",
    modality="image",
    metrics=METRICS,
    tempered=True,
    words=Nouns(row="image", rows="images"),
    sources={
        "digits": SourceScheme(PUBLISHED, known=("sklearn",)),
        "cifar": SourceScheme(PUBLISHED, known=("cifar10", "cifar100")),
        "parquet": FILES,
    },
    fields=frozenset({"labels", "image", "image_size", "mean", "std"}),
    tokenised=False,
    stream="distilgrid.signals.views.outputs:main_stream",
    rows=partial(load, f"{HERE}.rows:ROWS"),
    batch=partial(load, f"{HERE}.views:BATCH"),
    losses=LABEL.losses,
    predict=LABEL.predict,
)
