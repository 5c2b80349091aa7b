"""Patient knowledge distillation.

Sun, Cheng, Gan, Liu: Patient Knowledge Distillation for BERT Model Compression, EMNLP 2019:

    L = (1 - alpha) * CE + alpha * T^2 * KL + beta * L_PT
    L_PT = mean over rows and mapped layers of | h_s / |h_s| - h_t / |h_t| |^2

h are the hidden states of the first token. The layers 1 .. k-1 of a student of k layers (the soft labels teach the last
one) imitate either every (L/k)-th teacher layer (`skip`) or the k-1 layers before the last (`last`).
The squared distance is the paper's: 2 - 2 cos, whatever the width. The authors' public code divides it by
the width, so its beta = 500 at width 768 is beta = 500 / 768 = 0.65 here. As there, rows and layers are averaged, where
the paper adds them up.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.methods.kd.declare import KD
from distilgrid.methods.kd.losses import KDObjective
from distilgrid.methods.pkd.declare import PKD
from distilgrid.models.shapes import Sizes
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs


def mapped_layers(*, student: int, teacher: int, layers: str) -> list[int]:
    """Teacher layers that the student's layers 1 .. k-1 imitate, counted from 1.

    `skip` takes the layer nearest to j L / k for layer j, the upper one of two: steps differ by one layer at most.

    >>> mapped_layers(student=6, teacher=12, layers="skip")
    [2, 4, 6, 8, 10]
    >>> mapped_layers(student=6, teacher=12, layers="last")
    [7, 8, 9, 10, 11]
    >>> mapped_layers(student=8, teacher=12, layers="skip")
    [2, 3, 5, 6, 8, 9, 11]
    """
    if layers == "last":
        return [teacher - student + j for j in range(1, student)]
    return [(2 * j * teacher + student) // (2 * student) for j in range(1, student)]


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
        self.settings.check_sizes(Sizes(*student.shape[1:]), Sizes(*teacher.shape[1:]))
        if student.shape[1] == 1:
            return student.sum() * 0.0  # one layer: nothing lies before the last one
        layers = mapped_layers(student=student.shape[1], teacher=teacher.shape[1], layers=self.settings.layers)
        wanted = teacher[:, torch.tensor(layers) - 1]  # (B, k-1, H)
        apart = F.normalize(student[:, :-1], dim=-1) - F.normalize(wanted, dim=-1)
        return apart.square().sum(dim=-1).mean()
