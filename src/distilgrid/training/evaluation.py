"""Predictions and the scores made of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.tasks.batching import Samples, evaluation_batches
from distilgrid.tasks.metrics import score
from distilgrid.training.forward import forward
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = Placement()


@torch.inference_mode()
def predict(model: "PreTrainedModel", encodings: Samples, *, placement: Placement = PLAIN) -> np.ndarray:
    """Logits of every row, in row order: (N, C). The model is left in the mode it came in.

    Args:
        model: on its device.
        encodings: rows.
        placement: whose precision to compute in; fp32 unless given.
    """
    training = model.training
    model.eval()
    logits = np.empty((len(encodings), model.config.num_labels), dtype=np.float32)
    for rows in evaluation_batches(encodings.lengths):
        with placement.autocast():
            outputs = forward(model, encodings.batch(rows), states=False)
        logits[rows] = outputs.logits.cpu().numpy()
    model.train(training)
    return logits


def evaluate(
    model: "PreTrainedModel",
    encodings: Samples,
    labels: np.ndarray,
    metrics: Sequence[str],
    *,
    placement: Placement = PLAIN,
) -> dict[str, float]:
    """The scores of a model on one split."""
    return score(metrics, labels=labels, logits=predict(model, encodings, placement=placement))
