"""Where a method's teacher outputs come from: recorded files, or a live model. Both count its forward passes."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from distilgrid.core.progress import progress
from distilgrid.signals.mixed.inputs import mixed_inputs
from distilgrid.signals.mixed.mixing import Schedule
from distilgrid.tasks.batching import Batch, Encodings, Samples, evaluation_batches
from distilgrid.tasks.kinds.image.views import ViewedImages
from distilgrid.training.forward import forward
from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.token_states import TokenStates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LABEL = "asking the teacher"
VIEW_BATCH = 256


class TeacherOutputs(Protocol):
    """Teacher outputs by sample."""

    @property
    def forwards(self) -> int:
        """Samples that went through a live teacher."""
        ...

    @property
    def sizes(self) -> Sizes | None:
        """Of the token states; None where there are none."""
        ...

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """The teacher's outputs on some training rows or mixed samples, in their order."""
        ...

    def move(self, device: torch.device) -> None:
        """Compute, or keep, outputs on a device."""
        ...


class StoredTeacher:
    """Outputs held in memory: (N, C) logits, and (N, layers, H) [CLS] states and all tokens' states, or None."""

    def __init__(self, logits: Tensor, cls_states: Tensor | None = None, tokens: TokenStates | None = None) -> None:
        self.logits, self.cls_states, self.tokens, self.forwards = logits, cls_states, tokens, 0

    @property
    def sizes(self) -> Sizes | None:
        """Of the token states."""
        return None if self.tokens is None else Sizes(*self.tokens.values.shape[1:])

    def move(self, device: torch.device) -> None:
        """Keep the logits on a device; the states stay in memory and go there batch by batch."""
        self.logits = self.logits.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs looked up; no teacher runs."""
        index = torch.as_tensor(samples)
        states = None if self.cls_states is None else self.cls_states[index].float()
        return Outputs(self.logits[index], states, None if self.tokens is None else self.tokens.of(samples))


class LiveTeacher:
    """A teacher that reads the training rows through its own tokeniser, all of them when the first are asked for.

    The rows are the same in each epoch, so that asking once gives what asking each time would.
    """

    def __init__(self, model: "PreTrainedModel", encodings: Samples, *, states: bool, tokens: bool = False) -> None:
        self.model, self.encodings = model.eval().requires_grad_(False), encodings
        self.states, self.tokens = states, tokens

    @cached_property
    def stored(self) -> StoredTeacher:
        """The outputs."""
        outputs = teacher_outputs(self.model, self.encodings, states=self.states, tokens=self.tokens)
        kept = outputs.token_states
        tokens = None if kept is None else TokenStates.packed(kept, torch.from_numpy(self.encodings.lengths))
        return StoredTeacher(outputs.logits, outputs.cls_states, tokens)

    @property
    def sizes(self) -> Sizes | None:
        """Of the token states, before any is computed."""
        config = self.model.config
        return Sizes(config.num_hidden_layers, config.hidden_size) if self.tokens else None

    @property
    def forwards(self) -> int:
        """Rows that went through."""
        return len(self.encodings) if "stored" in self.__dict__ else 0

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """The outputs, computed if they are the first."""
        return self.stored.outputs(samples)


class LiveMixedTeacher:
    """A teacher that reads mixed samples, each batch of them when it is asked for, as a recording would have."""

    def __init__(self, model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, *, token_types: str) -> None:
        self.model, self.encodings = model.eval().requires_grad_(False), encodings
        self.schedule, self.token_types = schedule, token_types
        self.batch_of = {sample: batch for batch in schedule.batches for sample in batch}
        self.batch: Batch = []
        self.logits = torch.empty(0)
        self.forwards = 0

    @property
    def sizes(self) -> Sizes | None:
        """No token states."""
        return None

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of samples of one batch, which goes through the teacher whole: parts of it would round otherwise."""
        batch = self.batch_of[samples[0]]
        if batch is not self.batch:
            self.batch = batch
            self.logits = mixed_logits(self.model, self.encodings, self.schedule, batch, token_types=self.token_types)
            self.forwards += len(batch)
        place = {sample: number for number, sample in enumerate(batch)}
        return Outputs(self.logits[[place[sample] for sample in samples]])


class LiveViewTeacher:
    """A teacher that sees the views of images that its student sees, batch by batch."""

    def __init__(self, model: "PreTrainedModel", views: ViewedImages) -> None:
        self.model, self.views = model.eval().requires_grad_(False), views
        self.forwards = 0

    @property
    def sizes(self) -> Sizes | None:
        """No token states."""
        return None

    def move(self, device: torch.device) -> None:
        """Compute on a device."""
        self.model.to(device)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """The outputs on a batch."""
        self.forwards += len(samples)
        return Outputs(view_logits(self.model, self.views, samples))


@torch.no_grad()
def view_logits(model: "PreTrainedModel", views: ViewedImages, samples: Sequence[int]) -> Tensor:
    """A teacher's logits on views of one epoch, in fp32: (B, C), on its device."""
    with torch.autocast(model.device.type, enabled=False):
        return forward(model, views.batch(samples), states=False).logits


def all_view_logits(model: "PreTrainedModel", views: ViewedImages, *, epochs: int) -> Tensor:
    """A teacher's logits on all images as they are seen in each epoch: (E, N, C), on the CPU."""
    count = len(views.images)
    logits = torch.empty(epochs * count, model.config.num_labels)
    starts = [epoch * count + row for epoch in range(epochs) for row in range(0, count, VIEW_BATCH)]
    for start in progress(starts, total=len(starts), label=LABEL):
        samples = range(start, min(start + VIEW_BATCH, (start // count + 1) * count))
        logits[samples.start : samples.stop] = view_logits(model, views, samples).cpu()
    return logits.view(epochs, count, -1)


@torch.no_grad()
def teacher_outputs(model: "PreTrainedModel", encodings: Samples, *, states: bool, tokens: bool = False) -> Outputs:
    """A teacher's outputs on all rows, computed in fp32 in the batches of an evaluation.

    Returns:
        On the CPU: logits (N, C), fp32, and on request [CLS] states (N, layers, H) and token states (T, layers, H),
        both fp16.
    """
    config = model.config
    logits = torch.empty(len(encodings), config.num_labels)
    shape = (config.num_hidden_layers, config.hidden_size)
    kept = torch.empty((len(encodings), *shape), dtype=torch.float16) if states else None
    lengths = torch.from_numpy(encodings.lengths) if tokens else torch.empty(0, dtype=torch.int64)
    packed = TokenStates.packed(torch.empty((int(lengths.sum()), *shape), dtype=torch.float16), lengths)
    batches = evaluation_batches(encodings.lengths)
    for rows in progress(batches, total=len(batches), label=LABEL):
        with torch.autocast(model.device.type, enabled=False):
            outputs = forward(model, encodings.batch(rows), states=states, tokens=tokens)
        logits[rows] = outputs.logits.cpu()
        if kept is not None and outputs.cls_states is not None:
            kept[rows] = outputs.cls_states.half().cpu()
        if outputs.token_states is not None:
            packed.values[packed.places(rows)] = outputs.token_states.half().cpu()
    return Outputs(logits, kept, packed.values if tokens else None)


@torch.no_grad()
def mixed_logits(
    model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, batch: Batch, *, token_types: str
) -> Tensor:
    """A teacher's logits on a batch of mixed samples, through its own embeddings: (M, C), on its device."""
    with torch.autocast(model.device.type, enabled=False):
        inputs = mixed_inputs(model, encodings, schedule.mixtures.take(batch), token_types=token_types)
        return forward(model, inputs, states=False).logits


def all_mixed_logits(model: "PreTrainedModel", encodings: Encodings, schedule: Schedule, *, token_types: str) -> Tensor:
    """A teacher's logits on all mixed samples of a run, batch by batch: (M, C), on the CPU."""
    logits = torch.empty(len(schedule.mixtures), model.config.num_labels)
    batches = schedule.batches
    for batch in progress(batches, total=len(batches), label=LABEL):
        logits[batch] = mixed_logits(model, encodings, schedule, batch, token_types=token_types).cpu()
    return logits
