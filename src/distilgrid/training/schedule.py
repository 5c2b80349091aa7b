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

    Attributes:
        settings: epochs, batches and optimiser.
        objective: losses at a moment in epochs since the phase began: 1.5 is halfway through the second.
        name: name in tables; empty in a run of one phase.
        values: values for the history at a moment, in addition to the losses.
        taught: whether the losses read a teacher's outputs, if there is a teacher.
        selects: whether to keep the weights that scored best on `dev`; otherwise the last ones, for losses without the
            head.
        patient_from: moment from which `patience` counts evaluations; earlier losses still change.
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
    """One phase with constant losses."""
    return [Phase(settings, partial(_always, objective), name, taught=taught, selects=selects)]


def _always(objective: Objective, moment: float) -> Objective:
    return objective
