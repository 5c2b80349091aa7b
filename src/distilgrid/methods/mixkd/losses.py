"""MixKD: distillation on linear interpolations of pairs of training rows.

Liang, Hao, Shen, Zhou, Chen, Chen, Carin: MixKD: Towards Efficient Distillation of Large-scale Language Models,
ICLR 2021:

    x' = lambda * E(x_i) + (1 - lambda) * E(x_j),   y' = lambda * y_i + (1 - lambda) * y_j,   lambda ~ Beta(a, a)
    L  = L_MLE + alpha_SM * L_SM + alpha_TMKD * L_TMKD  [+ alpha_KD * L_KD]

    L_MLE  = CE(y, student(x))            L_KD   = d(teacher(x), student(x))
    L_SM   = CE(y', student(x'))          L_TMKD = d(teacher(x'), student(x'))

E are word embeddings: teacher and student each mix through their own table. d is the mean squared error between logits,
or T^2 * KL. For a regression all terms are mean squared errors. The choices that the paper leaves open are settings;
docs/methods/mixkd.md lists them.
"""

from torch import Tensor
from torch.nn import functional as F

from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.training.objective import Objective, Outputs, hard_loss, soft_loss


class MixKDObjective(Objective):
    """The terms on training rows, and those on mixed samples."""

    def __init__(self, settings: MixKD, *, regression: bool) -> None:
        self.settings = settings
        self.regression = regression

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """`hard`, and `soft` if L_KD has a weight."""
        terms = {"hard": hard_loss(student.logits, labels, regression=self.regression)}
        if self.settings.alpha_kd > 0:
            terms["soft"] = self.settings.alpha_kd * self.distance(student, teacher)
        return terms

    def mixed_losses(self, targets: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """`mixed_hard` and `mixed_soft`, as far as L_SM and L_TMKD have weights.

        Args:
            targets: the mixed labels: (M, C) probabilities, or (M,) real numbers for a regression.
            student: its outputs on the mixed samples.
            teacher: the teacher's on the same samples; None if L_TMKD has no weight.
        """
        settings, terms = self.settings, {}
        if settings.alpha_sm > 0:
            hard = hard_loss(student.logits, targets, regression=self.regression)
            terms["mixed_hard"] = settings.alpha_sm * hard
        if settings.alpha_tmkd > 0:
            terms["mixed_soft"] = settings.alpha_tmkd * self.distance(student, teacher)
        return terms

    def distance(self, student: Outputs, teacher: Outputs | None) -> Tensor:
        """d(teacher, student)."""
        assert teacher is not None
        if self.regression or self.settings.distance == "mse":
            return F.mse_loss(student.logits, teacher.logits)
        return soft_loss(student.logits, teacher.logits, temperature=self.settings.temperature)
