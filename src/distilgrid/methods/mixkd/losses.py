"""MixKD: distillation on linear interpolations of pairs of training rows.

Liang, Hao, Shen, Zhou, Chen, Chen, Carin: MixKD: Towards Efficient Distillation of Large-scale Language Models,
ICLR 2021:

    x' = lambda * E(x_i) + (1 - lambda) * E(x_j),   y' = lambda * y_i + (1 - lambda) * y_j,   lambda ~ Beta(a, a)
    L  = L_MLE + alpha_SM * L_SM + alpha_TMKD * L_TMKD  [+ alpha_KD * L_KD]

    L_MLE  = CE(y, student(x))            L_KD   = d(teacher(x), student(x))
    L_SM   = CE(y', student(x'))          L_TMKD = d(teacher(x'), student(x'))

E are word embeddings: teacher and student each mix through their own table. d is the mean squared error between logits,
or T^2 * KL. For numbers, all terms are mean squared errors. README.md lists the settings for choices that the paper
leaves open.
"""

from torch import Tensor

from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs


class MixKDObjective(Objective):
    """Terms on training rows and on mixed samples."""

    def __init__(self, settings: MixKD, *, kind: TaskKind) -> None:
        self.settings = settings
        self.loss = kind.losses()

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """`hard`, and `soft` if L_KD has a weight."""
        terms = {"hard": self.loss.hard(student.logits, labels)}
        if self.settings.alpha_kd > 0:
            terms["soft"] = self.settings.alpha_kd * self.distance(student, teacher)
        return terms

    def mixed_losses(self, targets: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """`mixed_hard` and `mixed_soft`, if L_SM and L_TMKD have weights."""
        settings, terms = self.settings, {}
        if settings.alpha_sm > 0:
            hard = self.loss.hard(student.logits, targets)
            terms["mixed_hard"] = settings.alpha_sm * hard
        if settings.alpha_tmkd > 0:
            terms["mixed_soft"] = settings.alpha_tmkd * self.distance(student, teacher)
        return terms

    def distance(self, student: Outputs, teacher: Outputs | None) -> Tensor:
        """Distance d of student and teacher."""
        assert teacher is not None
        form, temperature = self.settings.distance, self.settings.temperature
        return self.loss.soft(student.logits, teacher.logits, form=form, temperature=temperature)
