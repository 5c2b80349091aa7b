"""Auxiliary weights of a method, which join the student's model for training and leave it afterwards.

As a part of the model they share its optimiser, checkpoints, best weights and processes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from distilgrid.core.fingerprint import derive_seed
from distilgrid.training.objective import Sizes
from distilgrid.training.schedule import Phase
from distilgrid.training.teacher import TeacherOutputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "companion"


def joined_companion(
    model: "PreTrainedModel", phases: Sequence[Phase], teacher: TeacherOutputs | None, *, seed: int
) -> nn.Module | None:
    """Attach the auxiliary module of the first phase that has one. Raises UserError for an unsuitable teacher."""
    sizes = Sizes(model.config.num_hidden_layers, model.config.hidden_size)
    theirs = None if teacher is None else teacher.sizes
    for phase in phases:
        companion = phase.objective(0.0).companion(sizes, theirs, seed=derive_seed(seed, NAME))
        if companion is not None:
            model.add_module(NAME, companion.train())
            return companion
    return None


def remove_companion(model: "PreTrainedModel") -> None:
    """Detach the auxiliary module."""
    delattr(model, NAME)
