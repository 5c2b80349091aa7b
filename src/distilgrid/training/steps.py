"""Steps of a run: the batches of all phases, and the steps at which the model is scored."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from distilgrid.core.fingerprint import derive_seed
from distilgrid.tasks.batching import Batch, epoch_batches
from distilgrid.training.objective import Phase
from distilgrid.training.settings import Training


class Stretch:
    """Steps of a phase, each one batch of every stream. Only one epoch's batches are held at a time.

    Args:
        phase: phase of the steps.
        start: number of steps in earlier phases.
        first_epoch: planned epochs of earlier phases; random draws follow from an epoch's planned number.
        make: steps of an epoch, counted over all phases.
        counts: number of steps in each epoch.
    """

    def __init__(
        self, phase: Phase, *, start: int, first_epoch: int, make: Callable[[int], list[list[Batch]]], counts: list[int]
    ) -> None:
        self.phase, self.start, self.first_epoch, self.make = phase, start, first_epoch, make
        self.ends = np.cumsum(counts)  # (epochs,) steps of the phase when an epoch is over
        self.end = start + int(self.ends[-1])
        times = min(phase.settings.evaluations_per_epoch * len(counts), len(self))
        self.due = {start + max(1, round(len(self) * i / times)) for i in range(1, times + 1)}
        self._held: tuple[int, list[list[Batch]]] | None = None

    def __len__(self) -> int:
        return int(self.ends[-1])

    def batches(self, step: int) -> list[Batch]:
        """Batches of a step, counted from 1 over all phases."""
        epoch, place = self._place(step)
        if self._held is None or self._held[0] != epoch:
            self._held = (epoch, self.make(self.first_epoch + epoch))
        return self._held[1][place]

    def moment(self, step: int) -> float:
        """Start of a step in epochs since the phase began; whole numbers are the first steps of epochs."""
        epoch, place = self._place(step)
        return epoch + place / self._count(epoch)

    def epoch_start(self, step: int) -> int:
        """The last step before the epoch of a step."""
        return step - 1 - self._place(step)[1]

    def epoch(self, step: int) -> float:
        """Finished epochs of the phase after a step."""
        return (step - self.start) / len(self) * len(self.ends)

    def _place(self, step: int) -> tuple[int, int]:
        """Epoch of a step within the phase, and its number within the epoch."""
        number = step - self.start - 1
        epoch = int(np.searchsorted(self.ends, number, side="right"))
        return epoch, number - (int(self.ends[epoch]) - self._count(epoch))

    def _count(self, epoch: int) -> int:
        return int(self.ends[epoch] - (self.ends[epoch - 1] if epoch else 0))


def plan_steps(
    phases: Sequence[Phase],
    lengths: np.ndarray,
    *,
    seed: int,
    added: Sequence[list[list[Batch]]] = (),
    per_epoch: bool = False,
) -> list[Stretch]:
    """Plan the steps of successive phases.

    `lengths` (N,) are the tokens of training rows; `added` holds the batches of other streams by epoch. With
    `per_epoch`, samples are numbered e * N + row, with e counted over all phases.
    """
    stretches: list[Stretch] = []
    steps = epochs = 0
    for phase in phases:
        settings = phase.settings
        make = partial(_epoch, lengths=lengths, settings=settings, seed=seed, added=added, per_epoch=per_epoch)
        same = [math.ceil(len(lengths) / settings.batch_size)] * settings.epochs
        counts = same if settings.batch_tokens is None else [len(make(epochs + e)) for e in range(settings.epochs)]
        stretches.append(Stretch(phase, start=steps, first_epoch=epochs, make=make, counts=counts))
        steps, epochs = stretches[-1].end, epochs + settings.epochs
    return stretches


def _epoch(
    epoch: int,
    *,
    lengths: np.ndarray,
    settings: Training,
    seed: int,
    added: Sequence[list[list[Batch]]],
    per_epoch: bool,
) -> list[list[Batch]]:
    """Steps of an epoch, derived from the seed and its number."""
    batches = epoch_batches(
        lengths,
        batch_size=settings.batch_size,
        generator=torch.Generator().manual_seed(derive_seed(seed, f"shuffle epoch {epoch}")),
        tokens=settings.batch_tokens,
        bucketed=settings.batching == "bucketed",
    )
    if per_epoch:
        batches = [[epoch * len(lengths) + row for row in batch] for batch in batches]
    return [list(step) for step in zip(batches, *(stream[epoch] for stream in added), strict=True)]
