"""Plain fine-tuning on hard labels, which trains teachers and is the baseline of every table."""

from torch import Tensor

from distilgrid.methods.finetune.declare import Finetune
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs


class FinetuneObjective(Objective):
    """Loss of the task kind on labels: CE(y, student), or the mean squared error of numbers."""

    def __init__(self, settings: Finetune, *, kind: TaskKind) -> None:
        self.loss = kind.losses()

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The single term `hard`."""
        return {"hard": self.loss.hard(student.logits, labels)}
