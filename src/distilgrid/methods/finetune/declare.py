"""Settings of plain fine-tuning. Light: no torch here."""

from typing import ClassVar, Literal

from distilgrid.methods.base import MANY, BaseMethod


class Finetune(BaseMethod):
    """Plain fine-tuning on the hard labels: the baseline of every table."""

    version: ClassVar[int] = 2
    losses: ClassVar[str] = "distilgrid.methods.finetune.losses:FinetuneObjective"
    preset: ClassVar[str] = "finetune"
    teachers: ClassVar[tuple[int, int]] = (0, MANY)

    objective: Literal["finetune"] = "finetune"
    """Hard-label training."""
