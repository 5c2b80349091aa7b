"""Schedules of mixed samples, drawn before training without any student.

The schedule follows from the rows, their number in a batch, the epochs and the mixup seed alone. All students, sizes,
weights of losses and training seeds of a grid therefore see the same mixed samples, and the teacher's outputs on them
are recorded once. The paper draws a row's partner from its random minibatch: here the partner is any other row.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.signals.mixed.plan import Mixup, check_batches
from distilgrid.tasks.batching import BUCKET_BATCHES, Batch
from distilgrid.training.settings import Training

SIMILAR = 64  # rows of similar length among which a partner is drawn


@dataclass(frozen=True)
class Mixtures:
    """Mixed samples: `weight` * row `first` + (1 - `weight`) * row `second`.

    Attributes:
        first, second: (M,) row numbers.
        weight: (M,) the paper's lambda, fp32.
    """

    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def take(self, samples: Batch) -> "Mixtures":
        """Samples of some numbers."""
        return Mixtures(self.first[samples], self.second[samples], self.weight[samples])

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Length of the longer row of each sample (M,), from the lengths of all rows (N,)."""
        longer: np.ndarray = np.maximum(rows[self.first], rows[self.second])
        return longer


@dataclass(frozen=True)
class Schedule:
    """The mixed samples of a run."""

    mixtures: Mixtures  # samples of all epochs
    epochs: list[list[Batch]]  # batches of each epoch, one for each batch of training rows

    @property
    def batches(self) -> list[Batch]:
        """Batches of all epochs."""
        return [batch for epoch in self.epochs for batch in epoch]

    def digest(self, example_ids: np.ndarray) -> str:
        """Hash of pairs, weights and batches; `example_ids` (N,) are those of the rows."""
        mixtures, sizes = self.mixtures, np.array([len(batch) for batch in self.batches])
        order = np.concatenate(self.batches)
        parts = (example_ids[mixtures.first], example_ids[mixtures.second], mixtures.weight, sizes, order)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def make_schedule(lengths: np.ndarray, settings: Mixup, training: Training) -> Schedule:
    """Draw the mixed samples of a run.

    `lengths` (N,) of rows are in characters: batches must not depend on a model's tokeniser. A batch of mixed samples
    has `settings.ratio` times the size of a batch of rows. Raises UserError with a token budget, a single row, or fewer
    mixed samples than batches.
    """
    check_batches(training)
    rows, bucketed = len(lengths), training.batching == "bucketed"
    count, steps = round(settings.ratio * rows), math.ceil(rows / training.batch_size)
    if rows < 2:
        raise UserError("mixkd: mixing needs two training rows, found one; raise grid.fractions or data.max_train_rows")
    if count < steps:
        raise UserError(f"mixup.ratio: {count} mixed samples for {steps} batches; raise it or training.batch_size")
    parts: list[Mixtures] = []
    batches: list[list[Batch]] = []
    for epoch in range(training.epochs):
        generator = np.random.default_rng(derive_seed(settings.seed, f"mixup epoch {epoch}"))
        first, second = _pairs(generator, lengths, settings, count)
        cut = _batches(generator, np.maximum(lengths[first], lengths[second]), steps, bucketed=bucketed)
        weight = generator.beta(settings.beta, settings.beta, size=count).astype(np.float32)
        if settings.draw == "batch":
            for batch in cut:
                weight[batch] = weight[batch[0]]
        parts.append(Mixtures(first, second, weight))
        batches.append([(batch + epoch * count).tolist() for batch in cut])
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "second", "weight"))
    return Schedule(Mixtures(*joined), batches)


def _pairs(
    generator: np.random.Generator, lengths: np.ndarray, settings: Mixup, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs in which each row comes first, and second, equally often, but never with itself."""
    rows = len(lengths)
    first, second = [], []
    for start in range(0, count, rows):
        chosen = np.arange(rows) if count - start >= rows else generator.permutation(rows)[: count - start]
        first.append(chosen)
        second.append(_partners(generator, lengths, settings)[chosen])
    return np.concatenate(first), np.concatenate(second)


def _partners(generator: np.random.Generator, lengths: np.ndarray, settings: Mixup) -> np.ndarray:
    """Partner of each row (N,): a random cycle through all rows, or through groups of similar length."""
    rows = len(lengths)
    groups = [np.arange(rows)]
    if settings.partners == "similar":
        order = np.lexsort((generator.random(rows), lengths))
        groups = np.array_split(order, max(1, rows // SIMILAR))
    partner = np.empty(rows, dtype=np.int64)
    for group in groups:
        cycle = generator.permutation(group)
        partner[cycle] = np.roll(cycle, 1)
    return partner


def _batches(generator: np.random.Generator, lengths: np.ndarray, steps: int, *, bucketed: bool) -> list[np.ndarray]:
    """All samples in batches of nearly equal size, sorted by length within random buckets as training rows are."""
    cut = np.array_split(generator.permutation(len(lengths)), steps)
    if not bucketed:
        return cut
    batches: list[np.ndarray] = []
    for start in range(0, steps, BUCKET_BATCHES):
        bucket = cut[start : start + BUCKET_BATCHES]
        joined = np.concatenate(bucket)
        ordered = joined[np.argsort(lengths[joined], kind="stable")]
        batches += np.split(ordered, np.cumsum([len(batch) for batch in bucket])[:-1])
    return batches
