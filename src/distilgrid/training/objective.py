"""The training loop's view of a distillation method: its phases, and the Objective of each moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, device, nn

from distilgrid.core.fingerprint import derive_seed
from distilgrid.models.shapes import Sizes
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.training.teacher import TeacherOutputs

COMPANION = "companion"


@dataclass(frozen=True)
class Outputs:
    """Outputs of a model that losses see."""

    logits: Tensor  # (B, ...), fp32; the task kind says what they mean
    # (B, layers, H), fp32: first token's hidden state after each layer; None unless requested
    cls_states: Tensor | None = None
    # (T, layers, H), fp32 or recorded fp16: all tokens' states row by row without padding; None unless requested
    token_states: Tensor | None = None
    others: "tuple[Outputs, ...]" = ()  # outputs of a cell's other teachers

    def to(self, device: device) -> "Outputs":
        """Copy the outputs to a device."""
        cls, tokens = (None if part is None else part.to(device) for part in (self.cls_states, self.token_states))
        return Outputs(self.logits.to(device), cls, tokens, tuple(other.to(device) for other in self.others))


class Objective(Protocol):
    """The losses of a batch. Losses never see model classes."""

    needs_states: bool = False  # whether the losses need the student's `cls_states`
    # whether they need `token_states`; the losses are then means over tokens, otherwise over rows
    needs_tokens: bool = False
    # whether the losses compare rows with each other; otherwise a batch may come in parts, whose means are averaged
    needs_batch: bool = False

    def companion(self, student: Sizes, teacher: Sizes | None, *, seed: int) -> nn.Module | None:
        """Auxiliary module, trained with the student, that maps its Outputs to those that `losses` gets; None without.

        The teacher's sizes are those of its states, if known. Raises UserError when the student cannot learn from this
        teacher.
        """
        return None

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """Named and weighted terms; the loop minimises their sum. A batch may hold a single row.

        `labels` are as the task kind makes them; `teacher` holds outputs on the same rows, None for a method without a
        teacher.
        """


class Hook(Protocol):
    """Work around each update of the weights, such as pruning or reweighting."""

    def before(self, step: int) -> None:
        """Read or change the gradients before the update of a step, counted from 1 over all phases."""

    def after(self, step: int) -> None:
        """Read or change the weights after the update."""

    def tensors(self) -> dict[str, Tensor]:
        """State for a saved run."""

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore a saved state."""


OpenHooks = Callable[[Mapping[str, nn.Parameter]], Sequence[Hook]]


@dataclass(frozen=True)
class Phase:
    """A part of a run with a separate optimiser, learning-rate schedule and best checkpoint.

    It starts from the best weights of the previous phase.
    """

    settings: Training  # epochs, batches and optimiser
    # losses at a moment in epochs since the phase began: 1.5 is halfway through the second
    objective: Callable[[float], Objective]
    name: str = ""  # name in tables; empty in a run of one phase
    # values for the history at a moment, in addition to the losses
    values: Callable[[float], dict[str, float]] = lambda moment: {}
    taught: bool = True  # whether the losses read a teacher's outputs, if there is a teacher
    # whether to keep the weights that scored best on `dev`; otherwise the last ones, for losses without the head
    selects: bool = True
    patient_from: float = 0.0  # moment from which `patience` counts evaluations; earlier losses still change
    # hooks around updates, made when the phase starts from the trained parameters by name
    hooks: OpenHooks = lambda parameters: ()


def plain(
    objective: Objective, settings: Training, *, name: str = "", taught: bool = True, selects: bool = True
) -> list[Phase]:
    """One phase with constant losses."""
    return [Phase(settings, partial(_always, objective), name, taught=taught, selects=selects)]


def _always(objective: Objective, moment: float) -> Objective:
    return objective


def joined_companion(
    model: "PreTrainedModel", phases: Sequence[Phase], teacher: "TeacherOutputs | None", *, seed: int
) -> nn.Module | None:
    """Attach the auxiliary module of the first phase that has one. Raises UserError for an unsuitable teacher.

    As a part of the model it shares the optimiser, the checkpoints, the best weights and the processes.
    """
    sizes = Sizes(model.config.num_hidden_layers, model.config.hidden_size)
    theirs = None if teacher is None else teacher.sizes
    for phase in phases:
        companion = phase.objective(0.0).companion(sizes, theirs, seed=derive_seed(seed, COMPANION))
        if companion is not None:
            model.add_module(COMPANION, companion.train())
            return companion
    return None


def remove_companion(model: "PreTrainedModel") -> None:
    """Detach the auxiliary module."""
    delattr(model, COMPANION)
