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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from distilgrid.core.fingerprint import derive_seed
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.signals.mixed.mixing import Mixtures, Schedule, make_schedule
from distilgrid.signals.mixed.outputs import mixed_inputs
from distilgrid.signals.mixed.plan import MixedSignal
from distilgrid.tasks.batching import Batch, Encodings, Inputs, Rows
from distilgrid.tasks.kind import Losses, TaskKind
from distilgrid.training.objective import Objective, Outputs
from distilgrid.training.settings import Training
from distilgrid.training.streams import answers
from distilgrid.training.teacher import TeacherOutputs
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


@dataclass
class Mixing:
    """Mixed samples of a run, with their losses and their teacher: a stream next to the training rows."""

    schedule: Schedule
    objective: MixKDObjective
    teacher: TeacherOutputs | None
    token_types: str = "mix"
    rows: Rows | None = None  # the training rows as the student reads them; None until the stream is opened
    companion: nn.Module | None = None

    def batches(self, seed: int) -> list[list[Batch]]:
        """Batches of each epoch, in an order that the training seed decides."""
        orders = [
            np.random.default_rng(derive_seed(seed, f"mixed epoch {number}")).permutation(len(epoch))
            for number, epoch in enumerate(self.schedule.epochs)
        ]
        return [[epoch[i] for i in order] for order, epoch in zip(orders, self.schedule.epochs, strict=True)]

    def stream(self, rows: Rows) -> "Mixing":
        """Stream of the mixed samples."""
        return replace(self, rows=rows)

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of the longer row of each pair."""
        return self._mixtures(samples).lengths(self._encodings.lengths)

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Mixed embeddings."""
        return mixed_inputs(model, self._encodings, self._mixtures(samples), token_types=self.token_types)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """Terms L_SM and L_TMKD."""
        assert self.rows is not None
        outputs, device, losses = student.logits.shape[1], student.logits.device, self.objective.loss
        targets = mixed_targets(self.rows.labels, self._mixtures(samples), losses=losses, outputs=outputs).to(device)
        return self.objective.mixed_losses(targets, student, answers(self.teacher, samples, student))

    @property
    def _encodings(self) -> Encodings:
        assert self.rows is not None and isinstance(self.rows.encodings, Encodings)
        return self.rows.encodings

    def _mixtures(self, samples: Sequence[int]) -> Mixtures:
        return self.schedule.mixtures.take(list(samples))


def mixing(settings: MixKD, rows: TrainingSet, training: Training, outputs: Mapping[str, TeacherOutputs]) -> Mixing:
    """The stream of mixed samples."""
    schedule = make_schedule(rows.text_lengths, settings.mixup, training)
    objective = MixKDObjective(settings, kind=rows.dataset.task_kind)
    return Mixing(schedule, objective, outputs.get(MixedSignal.option), settings.mixup.token_types)


def mixed_targets(labels: Tensor, mixtures: Mixtures, *, losses: Losses, outputs: int) -> Tensor:
    """Mixed labels: (M, C) probabilities, or (M,) numbers; `labels` are (N, ...) as the task kind makes them."""
    labels = losses.mixable(labels, outputs=outputs)
    weight = torch.from_numpy(mixtures.weight)
    first, second = labels[mixtures.first], labels[mixtures.second]
    return torch.lerp(second, first, weight if labels.dim() == 1 else weight[:, None])
