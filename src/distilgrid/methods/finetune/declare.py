"""Plain fine-tuning: what a user sets."""

from typing import TYPE_CHECKING, ClassVar, Literal

from distilgrid.methods.base import MANY, BaseMethod
from distilgrid.tasks.kinds.kind import TaskKind
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.training.schedule import Phase


class Finetune(BaseMethod):
    """Plain fine-tuning on the hard labels: the baseline of every table."""

    version: ClassVar[int] = 2
    teachers: ClassVar[tuple[int, int]] = (0, MANY)

    objective: Literal["finetune"] = "finetune"
    """Hard-label training."""

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`finetune`."""
        return {"finetune": cls()}

    def phases(self, training: Training, *, kind: TaskKind) -> "list[Phase]":
        """One."""
        from distilgrid.methods.finetune.losses import FinetuneObjective
        from distilgrid.training.schedule import plain

        return plain(FinetuneObjective(self, kind=kind), training)
