"""Knowledge distillation on logits.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015:

    L = (1 - alpha) * CE(y, z_s) + alpha * T^2 * KL(softmax(z_t / T) || softmax(z_s / T))

The MSE form replaces the second term by alpha * mean((z_s - z_t)^2)
(Ba, Caruana: Do Deep Nets Really Need to be Deep?, 2014).
For numbers, both terms are mean squared errors: of the labels, and of the teacher's output.
Teacher-assistant distillation (Mirzadeh et al. 2020) has the same losses, with another teacher in each link.
"""

from torch import Tensor

from distilgrid.methods.kd.declare import SoftLabels
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs


class KDObjective(Objective):
    """(1 - alpha) * hard + alpha * soft."""

    def __init__(self, settings: SoftLabels, *, kind: TaskKind) -> None:
        self.settings = settings
        self.loss = kind.losses()

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The terms `hard` and `soft`."""
        assert teacher is not None
        alpha, form, temperature = self.settings.alpha, self.settings.loss, self.settings.temperature
        soft = self.loss.soft(student.logits, teacher.logits, form=form, temperature=temperature)
        hard = self.loss.hard(student.logits, labels)
        return {"hard": (1 - alpha) * hard, "soft": alpha * soft}
