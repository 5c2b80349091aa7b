"""Patient knowledge distillation.

Sun, Cheng, Gan, Liu: Patient Knowledge Distillation for BERT Model Compression, EMNLP 2019:

    L = (1 - alpha) * CE + alpha * T^2 * KL + beta * L_PT
    L_PT = mean over rows, mapped layers and hidden units of (h_s / |h_s| - h_t / |h_t|)^2

h are the hidden states of the first token. The layers 1 .. k-1 of a student of k layers (the soft labels teach the last
one) imitate either every (L/k)-th teacher layer (`skip`) or the k-1 layers before the last (`last`).
The paper writes L_PT as a sum; the mean is that of the authors' public code, for which beta = 500 was chosen.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.core.errors import UserError
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.kd.losses import KDObjective
from distilgrid.methods.pkd.declare import PKD
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs


def mapped_layers(*, student: int, teacher: int, layers: str) -> list[int]:
    """Teacher layers that the student's layers 1 .. k-1 imitate, counted from 1.

    >>> mapped_layers(student=6, teacher=12, layers="skip")
    [2, 4, 6, 8, 10]
    >>> mapped_layers(student=6, teacher=12, layers="last")
    [7, 8, 9, 10, 11]
    """
    if layers == "last":
        return [teacher - student + j for j in range(1, student)]
    return [round(j * teacher / student) for j in range(1, student)]


class PKDObjective(Objective):
    """KD's two terms and beta * patience."""

    needs_states = True

    def __init__(self, settings: PKD, *, kind: TaskKind) -> None:
        self.settings = settings
        self.kd = KDObjective(KD(alpha=settings.alpha, temperature=settings.temperature), kind=kind)

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The terms `hard`, `soft` and `patience`."""
        assert teacher is not None and student.cls_states is not None and teacher.cls_states is not None
        patience = self.patience(student.cls_states, teacher.cls_states)
        return {**self.kd.losses(labels, student, teacher), "patience": self.settings.beta * patience}

    def patience(self, student: Tensor, teacher: Tensor) -> Tensor:
        """L_PT of the [CLS] states of all layers: (B, k, H) of the student and (B, L, H) of the teacher.

        Raises UserError when widths differ or the student is deeper than the teacher.
        """
        if student.shape[-1] != teacher.shape[-1] or student.shape[1] > teacher.shape[1]:
            own, theirs = (f"{states.shape[1]} layers and width {states.shape[-1]}" for states in (student, teacher))
            advice = "take equal widths and a shallower student"
            raise UserError(f"pkd: a student of {own} cannot imitate a teacher of {theirs}; {advice}")
        if student.shape[1] == 1:
            return student.sum() * 0.0  # one layer: nothing lies before the last one
        layers = mapped_layers(student=student.shape[1], teacher=teacher.shape[1], layers=self.settings.layers)
        wanted = teacher[:, torch.tensor(layers) - 1]  # (B, k-1, H)
        return F.mse_loss(F.normalize(student[:, :-1], dim=-1), F.normalize(wanted, dim=-1))
