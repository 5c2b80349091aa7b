"""Schedule of a training run: its phases, and their losses at each moment."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from distilgrid.training.objective import Objective
from distilgrid.training.settings import Training


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


def plain(
    objective: Objective, settings: Training, *, name: str = "", taught: bool = True, selects: bool = True
) -> list[Phase]:
    """One phase with constant losses."""
    return [Phase(settings, partial(_always, objective), name, taught=taught, selects=selects)]


def _always(objective: Objective, moment: float) -> Objective:
    return objective
