"""The parity gate: outputs of an export and of the trained model, compared at several shapes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.core.progress import progress
from distilgrid.runtimes.base import Session
from distilgrid.tasks.batching import Inputs, Samples
from distilgrid.tasks.kind import TaskKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GATE_ROWS = 256
GATE_BATCHES = (1, 3, 8, 32)
IMAGES_AT_ONCE = 32


def arrays(inputs: Inputs) -> dict[str, np.ndarray]:
    """Model inputs as NumPy arrays, sharing memory."""
    return {name: tensor.numpy() for name, tensor in inputs.items()}


def gate_rows(total: int) -> np.ndarray:
    """Up to 256 row numbers, evenly spread over a split."""
    return np.unique(np.linspace(0, total - 1, min(total, GATE_ROWS)).astype(int))


def gate_batches(samples: Samples, rows: np.ndarray) -> Iterator[Inputs]:
    """Rows in batches of 1, 3, 8, 32, 1, 3, ...; the first four batches of texts are padded to the longest row."""
    longest = int(samples.lengths[rows].max())
    start = number = 0
    while start < len(rows):
        size = GATE_BATCHES[number % len(GATE_BATCHES)]
        chosen = rows[start : start + size].tolist()
        yield samples.batch(chosen, length=longest if number < len(GATE_BATCHES) else None)
        start, number = start + size, number + 1


@torch.inference_mode()
def max_abs_difference(model: "PreTrainedModel", session: Session, samples: Samples, rows: np.ndarray) -> float:
    """The largest absolute difference between the outputs of torch and of a runtime; NaN if one of them is NaN."""
    largest = 0.0
    for inputs in gate_batches(samples, rows):
        difference = np.abs(model(**inputs).logits.numpy() - session.bind(arrays(inputs))())
        largest = float(np.maximum(largest, difference.max()))  # a NaN stays
    return largest


def session_outputs(
    session: Session, samples: Samples, *, kind: TaskKind, model: "PreTrainedModel", label: str
) -> np.ndarray:
    """Outputs (N, ...) of every row, in the memory that the kind allocates for those of `model`.

    Rows of tokens run one at a time. Dynamic quantisation scales activations over a whole batch, padding included, so
    int8 outputs in larger batches would depend on the neighbours. Without padding this costs little more time.
    """
    size = 1 if kind.tokenised else IMAGES_AT_ONCE
    made = kind.predict().allocate(len(samples), model.config)
    for start in progress(range(0, len(samples), size), total=-(-len(samples) // size), label=label):
        rows = range(start, min(start + size, len(samples)))
        made[rows] = session.bind(arrays(samples.batch(rows)))()
    return made
