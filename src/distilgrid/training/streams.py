"""What a training step learns from: streams of samples, each with its inputs and its losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor, nn

from distilgrid.core.fingerprint import derive_seed
from distilgrid.methods.mixkd.losses import MixKDObjective
from distilgrid.signals.mixed.inputs import mixed_inputs, mixed_targets
from distilgrid.signals.mixed.mixing import Mixtures, Schedule
from distilgrid.signals.teacher import TeacherOutputs
from distilgrid.tasks.batching import Batch, Encodings, Inputs, Rows
from distilgrid.tasks.kinds.image.views import ViewedImages
from distilgrid.training.objective import Objective, Outputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Stream(Protocol):
    """Samples of one kind."""

    @property
    def teacher(self) -> TeacherOutputs | None:
        """Its outputs on the samples, for losses that need them."""
        ...

    @property
    def needs_states(self) -> bool:
        """Whether the losses want the student's [CLS] states."""
        ...

    @property
    def needs_tokens(self) -> bool:
        """Whether they want all tokens' states, and are means over tokens."""
        ...

    @property
    def companion(self) -> nn.Module | None:
        """What the student's outputs go through before the losses see them."""
        ...

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of each sample."""
        ...

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Inputs for `forward`."""
        ...

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """The loss terms of the student's outputs on the samples."""
        ...


@dataclass
class RowStream:
    """The training rows."""

    rows: Rows
    objective: Objective
    teacher: TeacherOutputs | None
    companion: nn.Module | None = None

    @property
    def needs_states(self) -> bool:
        """As the objective says."""
        return self.objective.needs_states

    @property
    def needs_tokens(self) -> bool:
        """As the objective says."""
        return self.objective.needs_tokens

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of each row."""
        lengths: np.ndarray = self.rows.encodings.lengths[list(samples)]
        return lengths

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """The rows' tokens."""
        return self.rows.encodings.batch(samples)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """The objective's terms."""
        device = student.logits.device
        teacher = self.teacher.outputs(samples).to(device) if self.teacher is not None else None
        return self.objective.losses(self.rows.labels[list(samples)].to(device), student, teacher)


@dataclass
class ViewStream:
    """The training images, as they are seen in each epoch. Samples are numbered as in `ViewedImages`."""

    labels: Tensor
    views: ViewedImages
    objective: Objective
    teacher: TeacherOutputs | None
    companion: nn.Module | None = None
    needs_states: bool = False
    needs_tokens: bool = False

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """None: a batch is never cut for its size, because batch norm's statistics are those of all of it."""
        return np.zeros(len(samples), dtype=np.int64)

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Views."""
        return self.views.batch(samples)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """The objective's terms."""
        device, rows = student.logits.device, self.views.rows(samples)
        asked = samples if self.views.views.drawn else rows.tolist()
        teacher = self.teacher.outputs(asked).to(device) if self.teacher is not None else None
        return self.objective.losses(self.labels[rows].to(device), student, teacher)


@dataclass
class Mixing:
    """What a run learns from mixed samples: which, with what losses, from which teacher."""

    schedule: Schedule
    objective: MixKDObjective
    teacher: TeacherOutputs | None

    def batches(self, seed: int) -> list[list[Batch]]:
        """Those of each epoch, in an order of the training seed's own."""
        orders = [
            np.random.default_rng(derive_seed(seed, f"mixed epoch {number}")).permutation(len(epoch))
            for number, epoch in enumerate(self.schedule.epochs)
        ]
        return [[epoch[i] for i in order] for order, epoch in zip(orders, self.schedule.epochs, strict=True)]


@dataclass
class MixedStream:
    """Mixed samples of the training rows."""

    rows: Rows
    mixing: Mixing
    companion: nn.Module | None = None
    needs_states: bool = False
    needs_tokens: bool = False

    @property
    def teacher(self) -> TeacherOutputs | None:
        """Its outputs on the mixed samples."""
        return self.mixing.teacher

    def lengths(self, samples: Sequence[int]) -> np.ndarray:
        """Tokens of the longer row of each pair."""
        return self._mixtures(samples).lengths(self.rows.encodings.lengths)

    def inputs(self, model: "PreTrainedModel", samples: Sequence[int]) -> Inputs:
        """Mixed embeddings."""
        kinds = self.mixing.objective.settings.mixup.token_types
        assert isinstance(self.rows.encodings, Encodings)
        return mixed_inputs(model, self.rows.encodings, self._mixtures(samples), token_types=kinds)

    def losses(self, samples: Sequence[int], student: Outputs) -> dict[str, Tensor]:
        """L_SM and L_TMKD."""
        outputs, device = student.logits.shape[1], student.logits.device
        losses, mixtures = self.mixing.objective.loss, self._mixtures(samples)
        targets = mixed_targets(self.rows.labels, mixtures, losses=losses, outputs=outputs).to(device)
        teacher = self.teacher.outputs(samples).to(device) if self.teacher is not None else None
        return self.mixing.objective.mixed_losses(targets, student, teacher)

    def _mixtures(self, samples: Sequence[int]) -> Mixtures:
        return self.mixing.schedule.mixtures.take(list(samples))
