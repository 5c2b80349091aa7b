"""Mixed samples as a stream next to the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor, nn

from distilgrid.core.fingerprint import derive_seed
from distilgrid.signals.mixed.inputs import mixed_inputs, mixed_targets
from distilgrid.signals.mixed.mixing import Mixtures, Schedule
from distilgrid.tasks.batching import Batch, Encodings, Inputs, Rows
from distilgrid.tasks.kind import Losses
from distilgrid.training.objective import Outputs
from distilgrid.training.streams import Stream
from distilgrid.training.teacher import TeacherOutputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class MixedLosses(Protocol):
    """The losses of a batch of mixed samples."""

    loss: Losses  # the task kind's losses

    def mixed_losses(self, targets: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """Weighted terms by name; `targets` are mixed labels: (M, C) probabilities, or (M,) numbers."""


@dataclass
class Mixing:
    """Mixed samples of a run, with their losses and their teacher."""

    schedule: Schedule
    objective: MixedLosses
    teacher: TeacherOutputs | None
    token_types: str = "mix"

    def batches(self, seed: int) -> list[list[Batch]]:
        """Batches of each epoch, in an order that the training seed decides."""
        orders = [
            np.random.default_rng(derive_seed(seed, f"mixed epoch {number}")).permutation(len(epoch))
            for number, epoch in enumerate(self.schedule.epochs)
        ]
        return [[epoch[i] for i in order] for order, epoch in zip(orders, self.schedule.epochs, strict=True)]

    def stream(self, rows: Rows) -> Stream:
        """Stream of the mixed samples."""
        return MixedStream(rows, self)


@dataclass
class MixedStream:
    """Mixed samples of the training rows."""

    rows: Rows
    mixing: Mixing
    companion: nn.Module | None = None
    needs_states: bool = False
    needs_tokens: bool = False
    needs_batch: bool = False

    @property
    def teacher(self) -> TeacherOutputs | None:
        """Teacher outputs on the mixed samples."""
        return self.mixing.teacher

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of the longer row of each pair."""
        return self._mixtures(samples).lengths(self.rows.encodings.lengths)

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Mixed embeddings."""
        assert isinstance(self.rows.encodings, Encodings)
        return mixed_inputs(model, self.rows.encodings, self._mixtures(samples), token_types=self.mixing.token_types)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """Terms L_SM and L_TMKD."""
        outputs, device = student.logits.shape[1], student.logits.device
        losses, mixtures = self.mixing.objective.loss, self._mixtures(samples)
        targets = mixed_targets(self.rows.labels, mixtures, losses=losses, outputs=outputs).to(device)
        teacher = self.teacher.outputs(samples).to(device) if self.teacher is not None else None
        return self.mixing.objective.mixed_losses(targets, student, teacher)

    def _mixtures(self, samples: Sequence[int]) -> Mixtures:
        return self.mixing.schedule.mixtures.take(list(samples))
