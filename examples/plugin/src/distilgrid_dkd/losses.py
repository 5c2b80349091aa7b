"""Decoupled knowledge distillation.

Zhao, Cui, Song, Qiu, Liang: Decoupled Knowledge Distillation, CVPR 2022 (arXiv 2203.08679):

    p      = softmax(z / T),   t the target class
    TCKD   = KL([p_t, 1 - p_t] of the teacher || [p_t, 1 - p_t] of the student)
    NCKD   = KL(p without t, scaled to sum to 1, of the teacher || the same of the student)
    L      = CE(y, z_s) + w * T^2 * (alpha * TCKD + beta * NCKD),   w = min(1, epoch / warmup)

KD's own loss is TCKD + (1 - p_t of the teacher) * NCKD, so a confident teacher hides NCKD there. Both parts are means
over rows. With two classes NCKD is 0: one class is left, whose share is 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs, Phase
from distilgrid.training.settings import Training
from distilgrid_dkd.declare import DKD


@dataclass
class DKDObjective(Objective):
    """The losses at one moment."""

    settings: DKD
    weight: float = 1.0

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The terms `hard`, `target` and `others`."""
        assert teacher is not None
        settings = self.settings
        target, others = decoupled(student.logits, teacher.logits, labels, temperature=settings.temperature)
        scale = self.weight * settings.temperature**2
        return {
            "hard": F.cross_entropy(student.logits, labels),
            "target": scale * settings.alpha * target,
            "others": scale * settings.beta * others,
        }


def decoupled(student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """TCKD and NCKD, both means over rows.

    Logits are (B, C); labels are (B,) numbers, or (B, C) probabilities, whose largest names the target.
    """
    classes = labels if labels.dim() == 1 else labels.argmax(dim=1)
    is_target = F.one_hot(classes, student.shape[1]).bool()
    own, theirs = (_parts(logits / temperature, is_target) for logits in (student, teacher))
    return divergence(theirs[0], own[0]), divergence(theirs[1], own[1])


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher || student) of log-probabilities (B, K), as a mean over rows."""
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def _parts(logits: Tensor, is_target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the target and the rest, (B, 2), and of the other classes alone, (B, C - 1)."""
    rows, classes = logits.shape
    others = logits[~is_target].view(rows, classes - 1)
    binary = torch.stack([logits[is_target], others.logsumexp(dim=1)], dim=1)
    return binary.log_softmax(dim=1), others.log_softmax(dim=1)


def dkd_phases(settings: DKD, training: Training, *, kind: TaskKind) -> list[Phase]:
    """One phase, whose losses change in the warm-up. Raises UserError for a warm-up that never ends."""
    assert kind.tempered, "DKD tells classes apart"
    settings.check(training)

    def objective(moment: float) -> DKDObjective:
        return DKDObjective(settings, min(1.0, moment / settings.warmup) if settings.warmup else 1.0)

    return [Phase(training, objective, patient_from=settings.warmup)]
