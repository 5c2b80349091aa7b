"""Plain fine-tuning: what a user sets."""

from typing import TYPE_CHECKING, ClassVar, Literal

from distilgrid.methods.base import MANY, BaseMethod

if TYPE_CHECKING:
    pass


class Finetune(BaseMethod):
    """Plain fine-tuning on the hard labels: the baseline of every table."""

    losses: ClassVar[str] = "distilgrid.methods.finetune.losses:FinetuneObjective"

    version: ClassVar[int] = 2
    teachers: ClassVar[tuple[int, int]] = (0, MANY)

    objective: Literal["finetune"] = "finetune"
    """Hard-label training."""

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`finetune`."""
        return {"finetune": cls()}
