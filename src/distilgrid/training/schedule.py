"""What changes over a training run: its phases, and the losses at each moment of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from distilgrid.training.objective import Objective
from distilgrid.training.settings import Training


@dataclass(frozen=True)
class Phase:
    """A part of a run with an optimiser, a learning-rate schedule and a best checkpoint of its own.

    It begins with the best weights of the phase before it.

    Attributes:
        settings: its epochs, batches and optimiser.
        objective: the losses at a moment, given in epochs since the phase began: 1.5 is halfway through the second.
        name: for tables; empty where a run has one phase.
        values: what the history says about a moment beside the losses.
        taught: whether the losses look at a teacher, if there is one.
        selects: whether the weights that scored best on `dev` are kept; the last ones otherwise, for losses that leave
            the head untrained.
        patient_from: the moment from which `patience` counts evaluations: earlier ones are of losses that still change.
    """

    settings: Training
    objective: Callable[[float], Objective]
    name: str = ""
    values: Callable[[float], dict[str, float]] = lambda moment: {}
    taught: bool = True
    selects: bool = True
    patient_from: float = 0.0


def plain(
    objective: Objective, settings: Training, *, name: str = "", taught: bool = True, selects: bool = True
) -> list[Phase]:
    """One phase whose losses never change."""
    return [Phase(settings, partial(_always, objective), name, taught=taught, selects=selects)]


def _always(objective: Objective, moment: float) -> Objective:
    return objective
