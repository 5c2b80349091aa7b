"""Plain fine-tuning: the hard labels only. Teachers are trained with it, and it is the baseline of every table."""

from torch import Tensor

from distilgrid.methods.finetune.declare import Finetune
from distilgrid.training.objective import Objective, Outputs, hard_loss


class FinetuneObjective(Objective):
    """L = CE(y, student), or the mean squared error for a regression."""

    def __init__(self, settings: Finetune, *, regression: bool) -> None:
        self.regression = regression

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The single term `hard`."""
        return {"hard": hard_loss(student.logits, labels, regression=self.regression)}
