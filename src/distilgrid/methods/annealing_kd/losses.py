"""Annealing-KD: the teacher's logits from soft to sharp, then the labels.

Jafari, Rezagholizadeh, Sharma, Ghodsi: Annealing Knowledge Distillation, EACL 2021:

    stage I    L(T) = || z_s(x) - Phi(T) * z_t(x) ||^2,   Phi(T) = 1 - (T - 1) / tau_max,   T from tau_max down to 1
    stage II   L    = CE(y, z_s(x)),  or the mean squared error of numbers

Stage II begins with stage I's best weights on `dev`; optimiser and learning rate start anew. The squared norm is a mean
over rows and classes, as in the public code. With `distance: kl` stage I has KL(softmax(Phi z_t) || softmax(z_s))
instead, which the paper found to be worse. README.md lists differences from the public code.
"""

import logging
import math
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from distilgrid.methods.annealing_kd.declare import AnnealingKD, annealed
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.finetune.losses import FinetuneObjective
from distilgrid.tasks.kind import Form, TaskKind
from distilgrid.training.objective import Objective, Outputs, Phase, plain
from distilgrid.training.settings import Training

log = logging.getLogger(__name__)


@dataclass
class AnnealedObjective(Objective):
    """Stage I at one temperature: the distance from `phi` times the teacher's logits."""

    phi: float
    distance: Form
    kind: TaskKind

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The single term `soft`."""
        assert teacher is not None
        target = self.phi * teacher.logits
        return {"soft": self.kind.losses().soft(student.logits, target, form=self.distance)}


def annealing_phases(settings: AnnealingKD, training: Training, *, kind: TaskKind) -> list[Phase]:
    """Stage I and stage II. Raises UserError when stage I has fewer epochs than temperatures."""
    first, second = settings.staged(training)
    epochs, tau_max = first.epochs, settings.tau_max
    if epochs % tau_max:
        log.info("stage I: %d epochs over %d temperatures, %d or one more for each", epochs, tau_max, epochs // tau_max)

    values = partial(annealed, epochs=epochs, tau_max=tau_max)

    def objective(moment: float) -> AnnealedObjective:
        return AnnealedObjective(values(moment)["phi"], settings.distance, kind)

    sharp_from = math.ceil((tau_max - 1) * epochs / tau_max)  # first epoch with T = 1, counted from 0
    stage1 = Phase(first, objective, "stage-1", values, patient_from=sharp_from)
    return [stage1, *plain(FinetuneObjective(Finetune(), kind=kind), second, name="stage-2", taught=False)]
