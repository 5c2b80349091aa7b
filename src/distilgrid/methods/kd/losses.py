"""Knowledge distillation on logits.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015:

    L = (1 - alpha) * CE(y, z_s) + alpha * T^2 * KL(softmax(z_t / T) || softmax(z_s / T))

The MSE form replaces the second term by alpha * mean((z_s - z_t)^2)
(Ba, Caruana: Do Deep Nets Really Need to be Deep?, 2014).
For a regression both terms are mean squared errors: of the labels, and of the teacher's output.
Teacher-assistant distillation (Mirzadeh et al. 2020) has the same losses: its teachers differ, link by link.
"""

from torch import Tensor
from torch.nn import functional as F

from distilgrid.methods.kd.declare import SoftLabels
from distilgrid.training.objective import Objective, Outputs, hard_loss, soft_loss


class KDObjective(Objective):
    """(1 - alpha) * hard + alpha * soft."""

    def __init__(self, settings: SoftLabels, *, regression: bool) -> None:
        self.settings = settings
        self.regression = regression

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The terms `hard` and `soft`."""
        assert teacher is not None
        alpha = self.settings.alpha
        if self.regression or self.settings.loss == "mse":
            soft = F.mse_loss(student.logits, teacher.logits)
        else:
            soft = soft_loss(student.logits, teacher.logits, temperature=self.settings.temperature)
        hard = hard_loss(student.logits, labels, regression=self.regression)
        return {"hard": (1 - alpha) * hard, "soft": alpha * soft}
