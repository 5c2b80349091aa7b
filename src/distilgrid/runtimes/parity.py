"""Does an export compute what the trained model computes? Logits side by side with torch, at several shapes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.progress import progress
from distilgrid.runtimes.base import Session
from distilgrid.training.batching import Encodings, Inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GATE_ROWS = 256
GATE_BATCHES = (1, 3, 8, 32)


def arrays(inputs: Inputs) -> dict[str, np.ndarray]:
    """Model inputs as NumPy arrays, sharing memory."""
    return {name: tensor.numpy() for name, tensor in inputs.items()}


def gate_rows(total: int) -> np.ndarray:
    """Up to 256 row numbers, evenly spread over a split."""
    return np.unique(np.linspace(0, total - 1, min(total, GATE_ROWS)).astype(int))


def gate_batches(encodings: Encodings, rows: np.ndarray) -> Iterator[Inputs]:
    """The rows in batches of 1, 3, 8, 32, 1, 3, ...; those of the first round are padded to the longest of all rows."""
    longest = int(encodings.lengths[rows].max())
    start = number = 0
    while start < len(rows):
        size = GATE_BATCHES[number % len(GATE_BATCHES)]
        chosen = rows[start : start + size].tolist()
        yield encodings.batch(chosen, length=longest if number < len(GATE_BATCHES) else None)
        start, number = start + size, number + 1


@torch.inference_mode()
def max_abs_difference(model: "PreTrainedModel", session: Session, encodings: Encodings, rows: np.ndarray) -> float:
    """The largest absolute difference between the logits of torch and of a runtime; not finite if any logit is not."""
    largest = 0.0
    for inputs in gate_batches(encodings, rows):
        difference = np.abs(model(**inputs).logits.numpy() - session.bind(arrays(inputs))())
        largest = float(np.maximum(largest, difference.max()))  # a NaN stays
    return largest


def session_logits(session: Session, encodings: Encodings, *, label: str) -> np.ndarray:
    """Logits of every row, run one at a time: (N, C).

    Dynamic quantisation scales activations over a whole batch, padding included, so with larger
    batches a row's int8 logits would depend on its neighbours. Without padding this costs little more time.
    """
    rows = progress(range(len(encodings)), total=len(encodings), label=label)
    return np.concatenate([session.bind(arrays(encodings.batch([row])))() for row in rows])
