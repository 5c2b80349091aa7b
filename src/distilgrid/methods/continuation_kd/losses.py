"""Continuation-KD: annealed logits with a margin, while the labels take over.

Jafari, Kobyzev, Rezagholizadeh, Poupart, Ghodsi: Continuation KD, findings of EMNLP 2022 (arXiv 2212.05998):

    L = psi(i) * CE(y, z_s) + (1 - psi(i)) * max(0, || z_s - phi(T) * z_t ||^2 - m * phi(T))

psi rises from 0 to 1, T falls from tau_max to 1. With m = 0 and a psi that jumps when T has reached 1, this is
Annealing-KD without the restart between its stages. The squared norm is the mean over classes, and the margin counts
for each row; m and the shape of psi are unknown, so both are settings.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distilgrid.methods.annealing_kd.declare import annealed
from distilgrid.methods.continuation_kd.declare import ContinuationKD
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs, Phase
from distilgrid.training.settings import Training


@dataclass
class ContinuedObjective(Objective):
    """The losses at one moment."""

    phi: float
    psi: float
    margin: float
    kind: TaskKind

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The terms `hard` and `soft`."""
        assert teacher is not None
        distances = (student.logits - self.phi * teacher.logits).square().flatten(1).mean(dim=1)  # (B,)
        soft = torch.relu(distances - self.margin * self.phi).mean()
        hard = self.kind.losses().hard(student.logits, labels)
        return {"hard": self.psi * hard, "soft": (1 - self.psi) * soft}


def continuation_phases(settings: ContinuationKD, training: Training, *, kind: TaskKind) -> list[Phase]:
    """One phase, whose losses change with every step.

    Raises UserError when there are fewer epochs of annealing than temperatures, or none for the labels.
    """
    falling = settings.falling_epochs(training)

    def values(moment: float) -> dict[str, float]:
        linear = settings.psi == "linear"
        psi = min(1.0, moment / training.epochs) if linear else float(moment >= falling)
        return {**annealed(moment, epochs=falling, tau_max=settings.tau_max), "psi": psi}

    def objective(moment: float) -> ContinuedObjective:
        now = values(moment)
        return ContinuedObjective(now["phi"], now["psi"], settings.margin, kind)

    patient_from = math.inf if settings.psi == "linear" else falling  # a linear psi changes the losses to the end
    return [Phase(training, objective, values=values, patient_from=patient_from)]
